"""Tokens are renewed, whatever the network and the provider do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.waiting import until
from tests.providers.deployment import Deployment, deployed
from tests.providers.provider import Provider, Wish

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]

RENEWALS = 12


def sent_tokens(bff: Deployment) -> list[str]:
    """The refresh tokens of all refresh requests so far."""
    return [each.form["refresh_token"] for each in bff.provider.proxy.refreshes()]


async def test_fifty_callers_on_two_replicas_cost_one_token_request(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in_and_expired()
        bff.upstream.heard.clear()
        answers = await asyncio.gather(*(bff.call(person, number % 2) for number in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(sent_tokens(bff)) == 1
        assert len(set(bff.upstream.tokens)) == 1
    seen("1 token request")


async def test_renewals_in_a_row_send_no_token_twice(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in_and_expired()
        await provider.set_lifetime(bff.client, 2)  # of one second, Hydra says 0
        before = await person.session()

        async def renewed_often_enough() -> bool:
            await bff.served(person)
            return len(sent_tokens(bff)) >= RENEWALS

        await until(renewed_often_enough)
        await provider.set_lifetime(bff.client, 3600)
        await bff.settled()
        tokens = sent_tokens(bff)
        assert len(set(tokens)) == len(tokens)
        after = await person.session()
        assert after["authenticated"] is True
        assert after["user"] == before["user"]
    seen(f"{RENEWALS}, no token sent twice")


async def lose_an_answer(bff: Deployment) -> list[int]:
    """Loses the answer to the next refresh; the statuses of the calls until one was served or refused for good."""
    person = await bff.signed_in_and_expired()
    bff.provider.proxy.lose_next_answer("refresh_token")
    statuses: list[int] = []

    async def settled() -> bool:
        statuses.append((await bff.call(person, len(statuses) % 2)).status_code)
        return statuses[-1] in (200, 401)

    await until(settled)
    first, second = sent_tokens(bff)[:2]
    assert first == second
    assert set(statuses[:-1]) <= {503}
    return statuses


async def test_a_lost_answer_where_refresh_tokens_are_not_rotated(
    tmp_path: Path, provider: Provider, kept_refresh_token: str, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider, Wish(rotates=False)) as bff:
        lost = provider.proxy.lost
        assert (await lose_an_answer(bff))[-1] == 200
        assert provider.proxy.lost == lost + 1
    seen("session continues")


async def test_a_lost_answer_where_refresh_tokens_are_rotated(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    """Without a grace period the provider takes the repetition for theft: the session ends, and the BFF says so."""
    async with deployed(tmp_path, provider) as bff:
        lost = provider.proxy.lost
        last = (await lose_an_answer(bff))[-1]
        assert provider.proxy.lost == lost + 1
        assert last == (200 if provider.survives_lost_answers else 401)
    seen("session continues" if provider.survives_lost_answers else "session ends: there is no grace period")


async def test_a_provider_that_is_away_ends_no_session(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        due = await bff.signed_in_and_expired()
        usable = await bff.signed_in("bob@example.com")
        await provider.proxy.stop()
        try:
            for replica in (0, 1):
                assert (await bff.call(usable, replica)).status_code == 200
                answer = await bff.call(due, replica)
                assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
                assert "retry-after" in answer.headers
            assert (await due.session())["authenticated"] is True
        finally:
            await provider.proxy.start()
        await bff.served(due)
        assert (await bff.call(usable)).status_code == 200
    seen("503 meanwhile, no session lost")


async def test_a_refresh_token_that_was_revoked_ends_the_session(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in_and_expired()
        await provider.end_grant(bff.client, person.login, bff.newest_refresh_token())
        answer = await bff.call(person)
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
        assert (await person.session())["reason"] == "refresh_token_invalid"
        assert len(sent_tokens(bff)) == 1
    seen("session ends at the next renewal")


async def test_a_client_secret_that_was_replaced(
    tmp_path: Path, provider: Provider, seen: Callable[[str], None]
) -> None:
    """The provider knows only the secret of BFF_CLIENT_SECRET_NEXT, however it words the refusal of the other one."""
    async with deployed(tmp_path, provider, Wish(secret_was_replaced=True)) as bff:
        person = await bff.signed_in_and_expired()
        assert (await bff.call(person, 1)).status_code == 200
        token = bff.newest_refresh_token()
        await person.sign_out()

        async def is_dead() -> bool:
            return not await provider.is_alive(bff.client, person.login, token)

        await until(is_dead)
    seen("sign-in, renewal and revocation go on")
