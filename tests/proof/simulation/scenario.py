"""What a seed chooses: the provider's behaviour, the size of the world, and which faults happen how often."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from demo.simulator.grants import Replay, RotationPolicy
from tests.harness.policy import Policy

ROTATING: dict[str, dict[str, object]] = {
    "persistent": {"mode": "persistent"},
    "same successor": {"replay": Replay.SAME_SUCCESSOR},
    "sibling": {"replay": Replay.SIBLING},
    "closed by successor": {"replay": Replay.CLOSED_BY_SUCCESSOR},
    "old token": {"replay": Replay.OLD_TOKEN},
    "old token, stale": {"replay": Replay.OLD_TOKEN_STALE},
    "grace 0": {"grace": 0},
    "grace 5": {"grace": 5},
    "grace 60": {"grace": 60, "replay": Replay.SIBLING},
    "reuse only refused": {"on_reuse": "refuse", "replay": Replay.SIBLING},
    "family per user and client": {"family_scope": "user_and_client"},
    "no refresh token in the answer": {"answer_refresh_token": False},
    "no ID token in the answer": {"answer_id_token": False},
    "refresh token of limited life": {"refresh_token_lifetime": 150},
}

# What a refresh token gets that is not good: as RFC 6749 says, and as others do.
INVALID_GRANT = (400, b'{"error":"invalid_grant","error_description":"no"}')
REFUSALS = (
    *[INVALID_GRANT, INVALID_GRANT, (403, INVALID_GRANT[1])],
    *[(400, b'{"error":"invalid_request"}'), (400, b"")],
)

# name: (highest rate, unit). Rates "each" are of one operation, the others are seconds between two of them.
EACH = {
    "store_slow": 0.1,  # up to 1.9 s
    "store_write_fails": 0.15,
    "store_reply_lost": 0.15,  # applied; the adapter repeats it, or gives up
    "store_write_late": 0.1,  # applied after the adapter gave up
    "connect_refused": 0.4,
    "connect_slow": 0.3,
    "answer_lost": 0.5,
    "stall": 0.4,  # the request arrives, or not; no answer until the deadline
    "error_before": 0.4,  # 5xx, nothing done
    "error_after": 0.4,  # 5xx, rotated
    "broken_body": 0.4,
    "throttled": 0.4,
    "slow": 0.4,  # by up to 12 s, longer than anybody waits
    "revoke_fails": 0.3,
    "keys_fail": 0.3,
}
EVERY = {  # seconds between two, at the least
    "partition": 25.0,
    "failover": 45.0,
    "outage": 50.0,
    "invalid_client": 60.0,
    "crash": 25.0,
    "pause": 15.0,
    "drain": 35.0,
    "sign_out": 20.0,
    "unassigned": 70.0,
    "revoked_by_administrator": 90.0,
    "key_roll": 60.0,
}
BREAKDOWN = 40.0  # the same of a provider that refuses everybody, with dice of its own


@dataclass(frozen=True)
class Scenario:
    behaviour: str
    provider: RotationPolicy
    policy: Policy
    replicas: int
    sessions: int
    concurrency: int
    stormy_for: float  # seconds during which faults happen
    mean_pause: float  # seconds between two requests of a session
    absolute_timeout: float
    aimed: float = 0.1  # of the moments of a refresh get a fault of their own
    each: dict[str, float] = field(default_factory=dict)
    every: dict[str, float] = field(default_factory=dict)
    refusal: tuple[int, bytes] = INVALID_GRANT

    @property
    def faultless(self) -> bool:
        return not self.each and not set(self.every) - {"sign_out", "key_roll"}

    def chance(self, random: Random, fault: str) -> bool:
        return fault in self.each and random.random() < self.each[fault]

    def __str__(self) -> str:
        faults = [f"{name} {rate:.2f}" for name, rate in self.each.items()]
        faults += [f"{name} every {pause:.0f} s" for name, pause in self.every.items()]
        policy = self.policy
        return (
            f"{self.behaviour}; {self.replicas} replicas, {self.sessions} sessions, access tokens of "
            f"{self.provider.access_token_lifetime} s, grace {policy.grace:g}, early {policy.before_expiry:g}, "
            f"late {policy.after_grace}, idle {policy.idle_timeout:g}, concurrency {self.concurrency}; "
            + (", ".join(faults) or "no faults")
            + f", a dead token gets {self.refusal}"
        )


def draw(seed: int, random: Random, behaviour: str = "", **fixed: Any) -> Scenario:
    """The scenario of a seed. What is `fixed` is not left to chance: it makes one kind of trouble frequent."""
    behaviour = behaviour or random.choice(list(ROTATING))
    large = seed % 40 == 39
    lifetime = random.choice([60, 60, 60, 90, 120, 300])
    given: dict[str, object] = {"grace": 30, "access_token_lifetime": lifetime, **ROTATING[behaviour]}
    provider = RotationPolicy(**given)  # type: ignore[arg-type]
    policy = Policy(
        before_expiry=random.choice([60.0, 60.0, 20.0, 5.0]),
        grace=provider.grace,
        after_grace=random.random() < 0.9,
        idle_timeout=random.choice([3600.0, 3600.0, 3600.0, 120.0]),
    )
    share = random.choice([0.0, 0.1, 0.1, 0.25, 0.5])
    each = {name: rate * random.uniform(0.1, 1) for name, rate in EACH.items() if random.random() < share}
    every = {name: pause * random.uniform(1, 3) for name, pause in EVERY.items() if random.random() < share}
    if random.random() < 0.5:
        every["sign_out"] = EVERY["sign_out"] * random.uniform(1, 3)
    others = Random(f"refusals {seed}")
    refusal = others.choice(REFUSALS)
    if others.random() < share:
        every["breakdown"] = BREAKDOWN * others.uniform(1, 3)
    scenario = Scenario(
        behaviour=behaviour,
        provider=provider,
        policy=policy,
        replicas=random.choice([1, 2, 3, 3]),
        sessions=50 if large else random.choice([1, 2, 2, 3]),
        concurrency=random.choice([1, 2, 8, 64]) if not large else random.choice([8, 64]),
        stormy_for=60.0 + 1.5 * min(lifetime, 100),
        mean_pause=random.choice([5.0, 10.0, 25.0]),
        absolute_timeout=random.choice([86_400.0, 86_400.0, 86_400.0, 170.0]),
        each=each,
        every=every,
        refusal=refusal,
    )
    return replace(
        scenario,
        policy=replace(scenario.policy, after_grace=fixed.pop("after_grace", scenario.policy.after_grace)),
        **fixed,
    )
