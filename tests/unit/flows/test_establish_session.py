"""The last step of a sign-in: markers win, the browser's previous session goes, and its streams may stay."""

import pytest

from bff.flows.establish_session import EstablishSession
from bff.flows.logout.markers import LogoutMarkers
from bff.session.session import EndReason, Session
from bff.session.stream_end import SessionEnded
from tests.harness.example_session import a_session
from tests.harness.memory_store import MemoryStore
from tests.unit.flows.parts import Ends, Parts


class LogoutWhileStoring(MemoryStore):
    """Signs a user out right after the session of its sign-in was stored."""

    async def create(self, session: Session) -> None:
        await super().create(session)
        await LogoutMarkers(self, 600.0).put("sub", session.user.sub, await self.now())


@pytest.mark.parametrize("while_storing", [False, True])
async def test_a_marker_wins(parts: Parts, while_storing: bool) -> None:
    session, store = a_session(parts.now), parts.store
    if while_storing:
        store = LogoutWhileStoring(parts.data, parts.ring)
    else:
        await parts.markers.put("sub", session.user.sub, parts.now)
    establish = EstablishSession(store, parts.end_session, parts.markers, parts.streams)
    assert not await establish.establish(session)
    assert parts.data.sessions == {}


@pytest.mark.parametrize("same_user", [True, False])
async def test_the_previous_session_of_the_browser_ends_and_its_streams_pass_on(parts: Parts, same_user: bool) -> None:
    old, closed = await parts.signed_in(), Ends()
    parts.streams.register(old, closed, endless=True)
    new = a_session(parts.now, browser=old.browser, issuer=old.issuer, **({"user": old.user} if same_user else {}))
    assert await parts.establish.establish(new)
    assert await parts.stored(old) is None
    assert closed == ([] if same_user else [SessionEnded(EndReason.REPLACED)])
    await parts.settled()
    assert parts.provider.revoked == [old.tokens.refresh_token]
    assert new.browser is not None
    assert await parts.store.get_end_reason(new.browser) is None
    assert await parts.store.get_end_reason(old.key) is EndReason.REPLACED
