"""The ID token that is kept for a sign-out after the end: under one name, sealed, never in the way of the end."""

from dataclasses import replace

import pytest

from bff.flows.logout.sign_out_hints import SignOutHint, SignOutHints
from bff.session.session import EndReason
from bff.session.store import VALUE_LIMIT
from tests.unit.flows.parts import Parts


@pytest.fixture
def hints(parts: Parts) -> SignOutHints:
    return SignOutHints(parts.store)


@pytest.mark.parametrize(("id_token", "kept"), [("a.b.c", "a.b.c"), (None, None), ("x" * (VALUE_LIMIT + 1), None)])
async def test_what_is_kept(parts: Parts, hints: SignOutHints, id_token: str | None, kept: str | None) -> None:
    session = await parts.signed_in()
    session = replace(session, tokens=replace(session.tokens, id_token=id_token))
    await hints.keep(session, EndReason.IDLE_TIMEOUT)
    assert session.browser is not None
    assert await hints.take(["x", session.browser]) == SignOutHint(kept)
    assert await hints.take(["x", session.browser]) is None
    assert "a.b.c" not in repr(SignOutHint("a.b.c"))


async def test_a_store_that_is_away_does_not_keep_a_session_from_ending(parts: Parts, hints: SignOutHints) -> None:
    session = await parts.signed_in()
    parts.data.down = True
    await hints.keep(session, EndReason.IDLE_TIMEOUT)
    parts.data.down = False
    assert await hints.take([session.browser or ""]) is None


async def test_the_next_sign_in_of_the_browser_removes_it(parts: Parts, hints: SignOutHints) -> None:
    session = await parts.signed_in()
    await parts.end_session.end(session.key, EndReason.REFRESH_TOKEN_INVALID)
    assert parts.data.values
    again = replace(session, key=(await parts.signed_in()).key, signed_in_at=parts.now)
    await parts.store.delete(again.key, EndReason.OPERATOR)
    assert await parts.establish.establish(again)
    assert await hints.take([session.browser or ""]) is None
