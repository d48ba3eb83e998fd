"""People sign in and out, in both directions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.waiting import until
from tests.providers.deployment import deployed
from tests.providers.provider import Provider

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]


async def test_a_person_signs_in_calls_the_api_and_signs_out_everywhere(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = bff.person()
        landed = await person.sign_in("alice@example.com", return_to="/api/orders")
        assert str(landed.url) == f"{bff.public_url}/api/orders"
        session = await person.session()
        assert session["authenticated"] is True
        assert session["user"]["email"] == "alice@example.com"
        for replica in range(2):
            assert (await bff.call(person, replica)).status_code == 200
        assert len(set(bff.upstream.tokens[-2:])) == 1

        assert not await person.is_asked_to_sign_in()
        assert str((await person.sign_out_everywhere()).url) == f"{bff.public_url}/"
        assert (await person.session())["authenticated"] is False
        assert await person.is_asked_to_sign_in()
    seen("returns to the app; the next sign-in asks for a password")


async def test_a_sign_out_at_the_bff_ends_the_tokens_at_the_provider(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in()
        token = bff.newest_refresh_token()
        assert await provider.is_alive(bff.client, person.login, token)
        await person.sign_out()  # and leaves the browser signed in at the provider

        async def is_dead() -> bool:
            return not await provider.is_alive(bff.client, person.login, token)

        await until(is_dead)
    seen("yes")


async def test_a_sign_out_at_the_provider_ends_the_session(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        alice, bob = await bff.signed_in(), await bff.signed_in("bob@example.com")
        assert (await bff.call(alice)).status_code == 200
        await provider.sign_out_at_provider(bff.client, alice.login, alice)

        async def is_signed_out() -> bool:
            return (await bff.call(alice, 1)).status_code == 401

        await until(is_signed_out)
        assert (await alice.session())["reason"] == "back_channel"
        assert (await bff.call(bob)).status_code == 200
    seen("yes, of this person only")


async def test_a_second_sign_in_in_the_same_browser_keeps_its_tokens(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    """The tokens of the first one are revoked, and at some providers both belong to one grant or session."""
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in()
        await bff.signed_in_and_expired(again=person)
        await bff.settled()
        assert (await bff.call(person)).status_code == 200
    seen("keeps its tokens")


async def test_a_step_up_that_fails_leaves_the_session_as_it_was(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    """The provider returns without the requested acr, and the tokens of that sign-in are dropped."""
    async with deployed(tmp_path, provider, acr_values="urn:example:never") as bff:
        person = await bff.signed_in_and_expired()
        before = person.cookie("bff-session")
        page = await person.fill_in(await person.navigate("/auth/login?acr_values=urn:example:never"), person.login)
        assert page.status_code == 502, page.text  # sign_in_failed
        assert person.cookie("bff-session") == before
        await bff.settled()
        assert (await bff.call(person)).status_code == 200
    seen("the session goes on")


async def test_a_sign_out_in_one_browser_leaves_the_other_one(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        phone = await bff.signed_in_and_expired()
        laptop = await bff.signed_in()
        assert str((await laptop.sign_out_everywhere()).url) == f"{bff.public_url}/"
        await bff.settled()
        assert (await bff.call(phone)).status_code == 200
    seen("the other one goes on")
