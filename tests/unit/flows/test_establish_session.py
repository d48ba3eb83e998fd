"""The last step of a sign-in: markers win, the browser's previous session goes, and its streams may stay."""

from typing import Any

import pytest

from bff.flows.establish_session import EstablishSession
from bff.flows.logout.markers import LogoutMarkers
from bff.oidc.token import TokenResponse
from bff.session.session import EndReason, Session, User
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
    establish = EstablishSession(store, parts.end_session, parts.markers, parts.streams, parts.settings.provider)
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


@pytest.mark.parametrize(
    ("issuer", "changes", "revoked"),
    [
        ("https://example.okta.com", {}, True),  # it revokes single tokens
        ("https://id.example.com", {}, False),
        ("https://id.example.com", {"sid": None}, False),  # unknown: perhaps the same
        ("https://id.example.com", {"sid": "another"}, True),
        ("https://id.example.com", {"user": User("somebody")}, True),
    ],
)
async def test_the_tokens_of_a_replaced_session_are_revoked_only_if_the_new_ones_survive_that(
    issuer: str, changes: dict[str, Any], revoked: bool
) -> None:
    parts = Parts(issuer=issuer)
    old = await parts.signed_in(sid="sid")
    new = a_session(
        parts.now, **{"browser": old.browser, "issuer": old.issuer, "user": old.user, "sid": "sid", **changes}
    )
    assert await parts.establish.establish(new)
    await parts.settled()
    assert await parts.stored(old) is None
    assert parts.provider.revoked == ([old.tokens.refresh_token] if revoked else [])


@pytest.mark.parametrize(
    ("issuer", "signed_in", "revoked"),
    [
        ("https://example.okta.com", True, True),
        ("https://id.example.com", True, False),
        ("https://id.example.com", False, True),
    ],
)
async def test_the_tokens_of_a_failed_sign_in_are_revoked_only_if_the_session_of_this_browser_survives_that(
    issuer: str, signed_in: bool, revoked: bool
) -> None:
    parts = Parts(issuer=issuer)
    session = await parts.signed_in()
    assert session.browser is not None
    parts.establish.discard(TokenResponse("at", 3600, "rt", None, ""), session.browser if signed_in else "another")
    await parts.settled()
    assert parts.provider.revoked == (["rt"] if revoked else [])


async def test_the_tokens_of_a_failed_sign_in_are_kept_while_the_store_cannot_say_who_has_a_session() -> None:
    parts = Parts(issuer="https://id.example.com")
    parts.data.down = True
    parts.establish.discard(TokenResponse("at", 3600, "rt", None, ""), "browser")
    await parts.settled()
    assert parts.provider.revoked == []
