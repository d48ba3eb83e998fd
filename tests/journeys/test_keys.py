"""What a change of keys does to a session: nothing, unless the last key that opens it is taken away."""

from dataclasses import replace

import pytest

from bff.session.keyring import KeyRing, new_key
from bff.session.session import Session
from bff.storage.open import open_store
from tests.harness.example_session import is_under_older_key
from tests.harness.http_browser import Browser
from tests.harness.pages import set_cookies
from tests.harness.world import World

KEY_REMOVED = {"authenticated": False, "reason": "key_removed"}


@pytest.fixture
def keys() -> tuple[bytes, bytes]:
    return new_key(), new_key()


async def is_newest(world: World, session: Session) -> bool:
    return not is_under_older_key(await world.bff.stores.sessions.get(session.key))


async def calls(browser: Browser) -> tuple[int, str | None]:
    answer = await browser.fetch("/api/x")
    return answer.status_code, answer.json().get("reason")


async def test_a_restart_signs_nobody_out(world: World) -> None:
    browser = await world.signed_in()
    await world.restart()
    assert await calls(browser) == (200, None)
    assert world.okta.control.token_requests == 1


async def test_a_record_is_sealed_again_by_the_next_call_and_the_cookie_by_the_session_endpoint(
    world: World, keys: tuple[bytes, bytes]
) -> None:
    old, new = keys
    await world.restart(session_keys=world.session_keys(old))
    browser = await world.signed_in()
    before = str(browser.cookie("bff-session"))
    await world.restart(session_keys=world.session_keys(new, old))
    session = await world.stored()
    assert not await is_newest(world, session)
    for _ in range(3):
        answer = await browser.fetch("/api/x")
        assert (answer.status_code, set_cookies(answer)) == (200, {})  # the API's answers are not ours to mark
    await world.settled()
    assert await is_newest(world, session)
    assert (await world.stored()).version == session.version + 1, "once, not at every call"

    answer = await browser.fetch("/auth/session")
    assert answer.json()["authenticated"] is True
    line = set_cookies(answer)["bff-session"]
    assert "HttpOnly" in line
    assert "SameSite=Strict" in line
    assert set_cookies(await browser.fetch("/auth/session")) == {}, "once is enough"
    assert browser.cookie("bff-session") != before

    await world.restart(session_keys=world.session_keys(new))
    assert await calls(browser) == (200, None)
    late = world.browser()
    late.plant("bff-session", before)
    assert await late.session() == KEY_REMOVED


async def test_a_record_whose_key_is_gone_says_so_and_is_back_when_the_key_is(
    world: World, keys: tuple[bytes, bytes]
) -> None:
    """The cookie was sealed again in time, the record was not."""
    old, new = keys
    await world.restart(session_keys=world.session_keys(new, old))
    browser = await world.signed_in()
    other = open_store(world.environ["BFF_STORE"], KeyRing.from_keys([old, new]))
    assert (await other.replace(replace(await world.stored(), version=2), 1)).done
    await other.close()
    await world.restart(session_keys=world.session_keys(new))
    for _ in range(2):
        assert await calls(browser) == (401, "key_removed")
        assert await browser.session() == KEY_REMOVED
    extended = await browser.fetch("/auth/session/extend", "POST")
    listed = await browser.fetch("/auth/sessions")
    assert [answer.json()["reason"] for answer in (extended, listed)] == ["key_removed"] * 2
    await world.restart(session_keys=world.session_keys(new, old))
    assert await calls(browser) == (200, None)
    assert world.revoked == [None], "nothing was ended for it"
