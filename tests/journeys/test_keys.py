"""What a change of keys does to a session: nothing, unless the last key that opens it is taken away."""

from dataclasses import replace
from pathlib import Path

from bff.session.keyring import KeyRing, new_key
from bff.session.session import Session
from bff.storage.open import open_store
from tests.harness.example_session import is_under_older_key
from tests.harness.http_browser import Browser
from tests.harness.world import World, small_world


async def record_of(world: World) -> Session:
    (session,) = await world.bff.stores.sessions.find("sub", world.okta.control.person("alice@example.com").sub)
    return session


async def is_newest(world: World, session: Session) -> bool:
    return not is_under_older_key(await world.bff.stores.sessions.get(session.key))


async def calls(browser: Browser) -> tuple[int, str | None]:
    answer = await browser.fetch("/api/x")
    return answer.status_code, answer.json().get("reason")


async def test_a_record_is_sealed_anew_by_the_next_call(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    async with small_world(tmp_path) as world:
        await world.restart(session_keys=world.session_keys(old))
        browser = world.browser()
        await browser.sign_in()
        await world.restart(session_keys=world.session_keys(new, old))
        session = await record_of(world)
        assert not await is_newest(world, session)
        for _ in range(3):
            assert await calls(browser) == (200, None)
        await world.settled()
        assert await is_newest(world, session)
        assert (await record_of(world)).version == session.version + 1, "once, not at every call"


async def test_the_cookie_and_the_record_are_sealed_anew_by_the_page_that_asks_who_is_signed_in(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    async with small_world(tmp_path) as world:
        await world.restart(session_keys=world.session_keys(old))
        browser = world.browser()
        await browser.sign_in()
        await world.restart(session_keys=world.session_keys(new, old))
        assert (await browser.session())["authenticated"] is True
        await world.settled()
        await world.restart(session_keys=world.session_keys(new))
        assert (await browser.session())["authenticated"] is True
        assert await calls(browser) == (200, None)


async def test_a_record_whose_key_is_gone_says_so_and_lives_again_when_the_key_is_back(tmp_path: Path) -> None:
    """The cookie was sealed anew in time, the record was not."""
    old, new = new_key(), new_key()
    async with small_world(tmp_path) as world:
        await world.restart(session_keys=world.session_keys(new, old))
        browser = world.browser()
        await browser.sign_in()
        session = await record_of(world)
        other = open_store(world.environ["BFF_STORE"], KeyRing.from_keys([old, new]))
        assert (await other.replace(replace(session, version=2), 1)).done
        await other.close()
        await world.restart(session_keys=world.session_keys(new))
        for _ in range(2):
            assert await calls(browser) == (401, "key_removed")
            assert await browser.session() == {"authenticated": False, "reason": "key_removed"}
        extended = await browser.fetch("/auth/session/extend", "POST")
        listed = await browser.fetch("/auth/sessions")
        assert [answer.json()["reason"] for answer in (extended, listed)] == ["key_removed"] * 2
        await world.restart(session_keys=world.session_keys(new, old))
        assert await calls(browser) == (200, None)
        assert world.okta.control.state()["families"][0]["revoked"] is None, "nothing was ended for it"
