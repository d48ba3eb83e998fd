"""The flow, broken on purpose: each way must violate an invariant within some seeds, or they see less than they say."""

import inspect
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

from bff.flows.background import BackgroundTasks
from bff.flows.logout.end_session import EndSession
from bff.flows.refresh import attempt
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.failover import FailoverRecovery
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.record_watcher import RecordWatcher
from bff.flows.refresh.reservation import Reservations
from bff.flows.refresh.single_flight import SingleFlight
from bff.oidc import token
from bff.session import refusal, rotation, timing, token_response
from tests.proof.simulation.invariants import InvariantViolated
from tests.proof.simulation.world import World

SEEDS = 600


@dataclass(frozen=True)
class Mutant:
    name: str
    edits: tuple[tuple[Any, str, str, str], ...]  # owner, function, text, instead
    world: dict[str, Any]  # what makes the trouble frequent in which it shows
    seed: int = 0  # one in which it was seen, tried first; the search still finds it when the code has changed


def mutant(name: str, *edits: tuple[Any, str, str, str], seed: int = 0, **world: Any) -> Mutant:
    return Mutant(name, edits, world, seed)


DONE = "return result if (await self._store.replace(written, session.version)).done else None"
REPLACE = "await self._store.replace(written, session.version)"
NOT_OURS = "case Superseded():\n            return"
FAILOVERS = {"each": {}, "every": {"failover": 45.0}, "sessions": 10, "replicas": 3, "mean_pause": 60.0}
MUTANTS = [
    mutant(
        "an access token is answered before it is stored",
        (RefreshOutcomes, "_write", DONE, "return result"),
        (
            FailoverRecovery,
            "reassert",
            "ours = replace(",
            "return Found(stored.now, result.session, stored.last_seen_at)\n    ours = replace(",
        ),
    ),
    mutant(
        "a refused write counts as done",
        (
            RefreshOutcomes,
            "_write",
            DONE,
            "await self._store.replace(written, session.version)\n            return result",
        ),
        seed=42,
    ),
    mutant(
        "a reservation is not written before its token is sent",
        (
            Reservations,
            "reserve",
            "replaced = await self._store.replace(reserved, stored.session.version)",
            "replaced = type('Replaced', (), {'done': True, 'now': stored.now})",
        ),
    ),
    mutant(
        "a token that arrives for a deleted session is dropped",
        (RefreshOutcomes, "_write", "self._revoke(answer)\n        return Superseded()", "return Superseded()"),
        seed=36,
    ),
    mutant(
        "what a second holder was given is revoked",
        (RefreshOutcomes, "_write", NOT_OURS, NOT_OURS.replace("return", "self._revoke(answer)\n            return")),
        seed=187,
    ),
    mutant(
        "a finished flight is joined again, and its error told again",
        (SingleFlight, "running", "refresh_task is None or refresh_task.done()", "refresh_task is None"),
        (
            SingleFlight,
            "_refresh_until_settled",
            "if self._refresh_tasks.get(key) is asyncio.current_task():",
            "if False:",
        ),
    ),
    mutant(
        "Retry-After and the back-off are not waited for",
        (rotation, "decide", "if now < attempt.not_before and not resend:", "if False:"),
        seed=2,
    ),
    mutant(
        "a caller that hangs up takes the refresh along",
        (
            SingleFlight,
            "wait",
            "done, _ = await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)",
            "done = [refresh_task]\n    await asyncio.wait_for(refresh_task, within)",
        ),
        seed=7,
    ),
    mutant(
        "a caller waits for a refresh without a deadline",
        (SingleFlight, "wait", "timeout=within", "timeout=None"),
        seed=48,
    ),
    mutant(
        "the slot is taken after the reservation",
        (RefreshAttempts, "_reserve_and_send", "async with self.slots.hold(key):", "if True:"),
        (
            RefreshAttempts,
            "_reserve_and_send",
            "answer = await self._send(reservation)",
            "async with self.slots.hold(key):\n                    answer = await self._send(reservation)",
        ),
        seed=67,
    ),
    mutant(
        "a resend ignores the grace",
        (timing, "inside_grace", "return now + RESEND_MARGIN < attempt.first_sent_at + policy.grace", "return True"),
        (timing, "may_send", "if attempt.after_grace or attempt.previous_first_sent_at is None:", "if True:"),
        seed=14,
        behaviour="grace 5",
        each={"answer_lost": 0.3, "error_after": 0.3, "store_slow": 0.2},
        sessions=6,
    ),
    mutant(
        "a takeover forgets when the token was first sent",
        (rotation, "reserve", "now if first_sent_at is None else first_sent_at", "now"),
        seed=479,
    ),
    mutant(
        "nobody asks again whether the lease still covers the answer",
        (RefreshAttempts, "_send", "return may_send(attempt, clock.now(), self._policy)", "return True"),
        seed=10,
    ),
    mutant(
        "a lease is checked from when the reply was read",
        (Reservations, "reserve", "StoreClock(replaced.now, asked_at,", "StoreClock(replaced.now, self._monotonic(),"),
        seed=159,
    ),
    mutant(
        "an answer settles whatever attempt the record holds",
        (
            token_response,
            "apply_token_response",
            "if attempt is None or attempt.attempt_id != ours.attempt_id:",
            "if attempt is None:",
        ),
        behaviour="sibling",
        each={"answer_lost": 0.3},
        every={"pause": 6.0},
        sessions=8,
        replicas=3,
        aimed=0.4,
    ),
    mutant(
        "what a second holder was given is not kept",
        (
            token_response,
            "_apply_superseded",
            "ours = ConcurrentSuccessor(",
            "return Superseded()\n    ours = ConcurrentSuccessor(",
        ),
        seed=1,
        behaviour="same successor",
        each={"answer_lost": 0.7},
        every={"pause": 6.0},
        sessions=8,
        replicas=3,
        aimed=0.4,
    ),
    mutant(
        "a granted token is kept no longer than any other outcome",
        (
            RefreshOutcomes,
            "store",
            "(KEEP_GRANTED_FOR if isinstance(answer, Granted) else self._policy.lease)",
            "self._policy.lease",
        ),
        behaviour="grace 5",
        each={},
        every={"partition": 6.0},
        sessions=8,
        aimed=0.4,
    ),
    mutant(
        "a throttled invalid_grant ends the session",
        (token, "parse_token_response", "if status == 429:", "if False:"),
        (refusal, "classify", "or answer.status not in FINAL_STATUSES", "or answer.status not in (400, 403, 429)"),
        seed=26,
    ),
    mutant(
        "a refusal counts as final although no other token request succeeds",
        (refusal, "is_confirmed", "proof.granted_ago is None", "False"),
        (refusal, "is_confirmed", "granted_at = asked_at - proof.granted_ago", "granted_at = asked_at"),
        (refusal, "is_confirmed", "proof.credentials != attempt.refused_with", "False"),
        seed=2,
        each={},
        every={"breakdown": 40.0},
        sessions=8,
    ),
    mutant(
        "the first unclear refusal ends the session",
        (refusal, "is_confirmed", "if refused_at is None", "return True\n    if refused_at is None"),
        each={},
        every={"breakdown": 40.0},
        sessions=8,
    ),
    mutant(
        "a web page counts as a refusal of the token",
        (refusal, "classify", "or answer.error == UNREADABLE", ""),
        (refusal, "is_confirmed", "proof.granted_ago is None", "False"),
        (refusal, "is_confirmed", "granted_at = asked_at - proof.granted_ago", "granted_at = asked_at"),
        seed=2,
        each={},
        every={"breakdown": 40.0},
        sessions=8,
    ),
    mutant(
        "an expired access token is handed out while its renewal is under way",
        (RefreshTokenFlow, "session_at", "if usable and", "if"),
    ),
    mutant(
        "a stale reply is believed",
        (
            RefreshTokenFlow,
            "session_at",
            "if now < session.tokens.usable_until <= now + age:",
            "if False:",
        ),
        seed=7,
        every={"pause": 4.0},
        sessions=12,
        replicas=3,
        mean_pause=2.0,
    ),
    mutant(
        "sign-in is asked for although the session was saved meanwhile",
        (
            RefreshTokenFlow,
            "session_at",
            "if await self._end_session.end(key, reason, expected_version=session.version) is not None:",
            "if [await self._end_session.end(key, reason, expected_version=session.version)]:",
        ),
        seed=1,
        behaviour="grace 0",
        after_grace=False,
        each={"slow": 0.3},
        every={"pause": 4.0},
        sessions=12,
        mean_pause=2.0,
        aimed=0.4,
    ),
    mutant(
        "a sign-out is cut in half by a caller that hangs up",
        (
            EndSession,
            "end",
            'return await asyncio.shield(self._tasks.start(ending, "end session"))',
            "return await ending",
        ),
        seed=7,
    ),
    mutant(
        "the tokens of an ended session are not revoked",
        (EndSession, "_have_ended", "await self.revocations.sessions_ended(sessions, turns)", "pass"),
        seed=1,
    ),
    mutant(
        "a drain waits only for what was there when it began",
        (BackgroundTasks, "drain", "while (late", "if (late"),
        seed=99,
        every={"drain": 15.0, "sign_out": 8.0},
        sessions=12,
        replicas=3,
        aimed=0.4,
    ),
    mutant(
        "waiters poll the store without a pause",
        (RecordWatcher, "_poll", "asyncio.sleep(POLL_INTERVAL)", "asyncio.sleep(0)"),
    ),
    mutant(
        "results are remembered for whoever asks",
        (FailoverRecovery, "reassert", "self._results.get(session.key)", "next(iter(self._results.values()), None)"),
        seed=39,
    ),
    mutant(
        "a lost answer is left alone when the next reservation cannot be written",
        (SingleFlight, "_refresh_until_settled", "if self._monotonic() >= grace_ends:", "if True:"),
        seed=2,
        behaviour="same successor",
        each={"error_after": 0.4, "store_write_fails": 0.3},
        every={},
        sessions=8,
        mean_pause=60.0,
    ),
    mutant(
        "what a failover lost waits for the session's next request",
        (FailoverRecovery, "renewed", "self._confirm_soon(session.key)", "pass"),
        seed=35,
        **FAILOVERS,
    ),
    mutant(
        "an answer is not settled because a failover lost its reservation",
        (RefreshOutcomes, "_write", "session = replace(session, attempt=reserved.attempt)", "pass"),
        seed=2,
        **FAILOVERS,
    ),
    mutant(
        "a token is written to the log",
        (attempt, "_record_outcome", '"rotation": reserved.rotation,', '"rotation": reserved.tokens.access_token,'),
    ),
]


def break_the_code(monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    for owner, name, text, instead in mutant.edits:
        function = getattr(owner, name)
        source = getattr(function, "text", None) or textwrap.dedent(inspect.getsource(function))
        assert text in source, f"{name} no longer says {text!r}"
        source = source.replace(text, instead)
        made: dict[str, Any] = {}
        exec(compile(source, f"<{mutant.name}>", "exec"), sys.modules[function.__module__].__dict__, made)
        broken = made[name]
        broken.text = source
        # A function of a module is known under its name in every module that imported it.
        modules = [module for key, module in sys.modules.items() if key.startswith(("bff.", "tests.proof.simulation."))]
        for place in (owner, *modules):
            if place.__dict__.get(name) is function:
                monkeypatch.setattr(place, name, broken)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_violates_an_invariant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    break_the_code(monkeypatch, mutant)
    for seed in (mutant.seed, *range(SEEDS)):
        try:
            World(seed, **mutant.world).run()
        except InvariantViolated as error:  # a mutant that merely crashes shows nothing
            print(f"seed {seed}: {error!r}")
            return
    pytest.fail(f"{SEEDS} worlds did not notice it")


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.world], ids=lambda mutant: mutant.name)
def test_the_same_faults_without_the_mutant_violate_none(mutant: Mutant) -> None:
    World(mutant.seed, **mutant.world).run()


@pytest.mark.long
@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.world], ids=lambda mutant: mutant.name)
def test_a_hundred_worlds_of_the_same_faults_violate_none(mutant: Mutant) -> None:
    for seed in range(100):
        World(seed, **mutant.world).run()
