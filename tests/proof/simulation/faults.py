"""The faults as they happen: what becomes of each operation of the store and of each request to the provider."""

from dataclasses import dataclass
from random import Random

from tests.proof.simulation.loop import SimulatedLoop
from tests.proof.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class StorePlan:
    """Times in seconds from now: when the operation is carried out (none, once, or again), when its caller hears."""

    arrivals: tuple[float, ...]
    back_in: float
    answered: bool = True


@dataclass(frozen=True, slots=True)
class TokenPlan:
    connect: float
    refused: bool = False  # not even connected: certainly not sent
    arrive: float | None = 0.0  # after the bytes left; None: never
    back: float = 0.0  # after it arrived
    instead: str = ""  # what happens to the request or its answer, else an honest answer


class Faults:
    def __init__(self, loop: SimulatedLoop, scenario: Scenario, random: Random) -> None:
        self._loop, self._mix, self._random = loop, scenario, random
        self._queue_random = Random(repr(scenario))
        self.stormy = True
        self.partitioned: dict[str, float] = {}  # replica: until
        self.outage_until = 0.0
        self.outage_kind = "refusing"
        self.invalid_client_until = 0.0
        self.breakdown_until = 0.0

    def chance(self, fault: str, random: Random | None = None) -> bool:
        return self.stormy and self._mix.chance(random or self._random, fault)

    def clear(self) -> None:
        self.stormy = False
        self.partitioned.clear()
        self.outage_until = self.invalid_client_until = self.breakdown_until = 0.0

    def store_operation(self, replica: str, *, write: bool, queue: bool = False) -> StorePlan:
        random, now = self._queue_random if queue else self._random, self._loop.time()
        there, back = random.uniform(0.0002, 0.002), random.uniform(0.0002, 0.002)
        if now < self.partitioned.get(replica, 0.0):
            # The circuit breaker answers at once most of the time; the others wait for the deadline.
            return StorePlan((), 0.001 if random.random() < 0.5 else 2.0, answered=False)
        if self.chance("store_slow", random):
            there, back = random.uniform(0, 1.2), random.uniform(0, 0.7)
        if not write:
            return StorePlan((there,), there + back)
        if self.chance("store_write_fails", random):
            return StorePlan((), random.uniform(0.01, 2.0), answered=False)
        if self.chance("store_reply_lost", random):
            if random.random() < 0.5:
                again = there + random.uniform(0.02, 0.6)
                return StorePlan((there, again), again + back)
            return StorePlan((there,), random.uniform(max(there, 0.3), 2.0), answered=False)
        if self.chance("store_write_late", random):
            return StorePlan((random.uniform(0.5, 4.0),), random.uniform(0.01, 0.5), answered=False)
        return StorePlan((there,), there + back)

    def token_request(self) -> TokenPlan:
        """A request arrives within 1.5 s after it left, or never: the margin that RESEND_MARGIN counts on."""
        random, now = self._random, self._loop.time()
        connect = random.uniform(0.001, 0.02) if random.random() < 0.7 else 0.0
        if self.chance("connect_slow"):
            connect = random.uniform(0.1, 9.0)
        arrive, back = random.uniform(0.005, 0.03), random.uniform(0.01, 0.1)
        if now < self.outage_until:
            if self.outage_kind == "refusing":
                return TokenPlan(connect, refused=True)
            return TokenPlan(connect, arrive=None)
        if now < self.invalid_client_until:
            return TokenPlan(connect, arrive=arrive, back=back, instead="invalid_client")
        if now < self.breakdown_until:
            return TokenPlan(connect, arrive=arrive, back=back, instead="breakdown")
        if self.chance("connect_refused"):
            return TokenPlan(connect, refused=True)
        if random.random() < 0.1 and self.stormy and self._mix.each:
            arrive = random.uniform(0.03, 1.5)
        if self.chance("slow"):
            return TokenPlan(connect, arrive=arrive, back=random.uniform(0.2, 12.0))
        if self.chance("stall"):
            lost = random.random() < 0.5
            return TokenPlan(connect, arrive=None if lost else arrive, back=1000.0)
        for fault in ("answer_lost", "error_before", "error_after", "broken_body", "throttled"):
            if self.chance(fault):
                return TokenPlan(connect, arrive=arrive, back=back, instead=fault)
        return TokenPlan(connect, arrive=arrive, back=back)

    def other_request(self, fault: str) -> tuple[float, bool]:
        """Seconds until it is carried out, and whether it is (a revocation, a fetch of keys)."""
        random = self._random
        if self._loop.time() < self.outage_until or self.chance(fault):
            return random.choice([0.01, 0.5, 5.0]), False
        return random.uniform(0.002, 0.1), True
