"""In any order, with repeats and failures of deliveries: exactly the sessions that the events mean are over."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bff.errors import StoreUnavailable
from bff.session.session import Session, User
from tests.harness.security_events import CREDENTIAL, DISABLED, REVOKED, iss_sub, of_session
from tests.harness.virtual_time import VirtualTimeLoop, time_passes
from tests.unit.flows.parts import Parts
from tests.unit.flows.security_events.reception import Reception

PEOPLE, SESSIONS = ("alice", "bob", "carol"), range(4)  # sessions of a person, one every ten seconds
LENGTH = 10.0 * len(SESSIONS)


@dataclass(frozen=True)
class Reported:
    """An event: about one of a person's sessions, or about the person at a time."""

    kind: str
    person: str
    session: int | None
    at: float

    def means(self, person: str, number: int, began: float) -> bool:
        if person != self.person:
            return False
        if self.session is not None and self.kind == REVOKED:
            return number == self.session
        return began <= self.at

    @property
    def subject(self) -> dict[str, Any]:
        return iss_sub(self.person) if self.session is None else of_session(sid(self.person, self.session), self.person)


events = st.builds(
    Reported,
    kind=st.sampled_from([REVOKED, CREDENTIAL, DISABLED]),
    person=st.sampled_from(PEOPLE),
    session=st.none() | st.sampled_from(SESSIONS),
    at=st.integers(-5 * 8, int(LENGTH) * 8).map(
        lambda eighths: eighths / 8
    ),  # exact also when added to the time of day
)


def sid(person: str, number: int) -> str:
    return f"sid-{person}-{number}"


async def left_after(reported: Iterable[Reported], order: random.Random) -> tuple[set[str], set[str]]:
    """The sessions that are left, and those that should be, after each event came twice and some while the store was
    away."""
    parts = Parts()
    reception, sessions, began = Reception(parts), dict[str, Session](), dict[str, float]()
    start = parts.now
    for number in SESSIONS:
        for person in PEOPLE:
            name = sid(person, number)
            sessions[name] = await parts.signed_in(user=User(person), sid=name)
            began[name] = parts.now - start
        await time_passes(10)
    reported = list(reported)
    deliveries = 2 * [reception.token(event.kind, event.subject, at=start + event.at) for event in reported]
    order.shuffle(deliveries)
    for token in deliveries:
        parts.data.down = order.random() < 0.3
        with suppress(StoreUnavailable):
            await reception.deliver(token)
        parts.data.down = False
        await reception.deliver(token)
    left = {name for name, session in sessions.items() if await parts.stored(session) is not None}
    meant = {
        sid(person, number)
        for person in PEOPLE
        for number in SESSIONS
        if any(event.means(person, number, began[sid(person, number)]) for event in reported)
    }
    await parts.settled()
    return left, sessions.keys() - meant


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(reported=st.lists(events, max_size=5), seed=st.integers(0, 2**16))
def test_the_sessions_that_events_mean_are_over_and_no_others(reported: list[Reported], seed: int) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        left, expected = runner.run(left_after(reported, random.Random(seed)))
    assert left == expected
