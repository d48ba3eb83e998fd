"""Keys of the provider and of the client: rotation, other algorithms, private_key_jwt and DPoP."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.waiting import until
from tests.providers.deployment import Deployment, deployed
from tests.providers.provider import Provider, Wish

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]


def part(compact: str, index: int) -> dict[str, Any]:
    encoded = compact.split(".")[index]
    return dict(json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))))


def claims(compact: str) -> dict[str, Any]:
    return part(compact, 1)


def id_token_header(bff: Deployment) -> dict[str, Any]:
    """Of the newest ID token that the provider gave."""
    return part(bff.provider.proxy.given("id_token")[-1], 0)


def client_assertions(bff: Deployment) -> list[str]:
    return [each.form["client_assertion"] for each in bff.provider.proxy.exchanges if "client_assertion" in each.form]


async def is_revoked_after_sign_out(bff: Deployment, login: str) -> bool:
    return not await bff.provider.is_alive(bff.client, login, bff.newest_refresh_token())


async def test_a_new_signing_key(tmp_path: Path, provider: Provider, seen: Callable[[str], None]) -> None:
    async with deployed(tmp_path, provider) as bff:
        person = await bff.signed_in_and_expired()
        before = id_token_header(bff)["kid"]
        await provider.rotate_keys()
        # Hydra signs the renewed ID token with the new key and names the old one: it is set aside, and nothing ends.
        assert (await bff.call(person)).status_code == 200
        newcomer = await bff.signed_in("bob@example.com")
        assert id_token_header(bff)["kid"] != before
        assert (await bff.call(newcomer, 1)).status_code == 200
        await provider.sign_out_at_provider(bff.client, newcomer.login, newcomer)

        async def is_signed_out() -> bool:
            return (await bff.call(newcomer)).status_code == 401

        await until(is_signed_out)
        assert (await bff.call(person)).status_code == 200
    seen("sign-in and logout tokens of the new key, and sessions go on")


async def test_id_tokens_with_another_algorithm(
    tmp_path: Path, provider: Provider, id_token_algorithm: str, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider, Wish(id_token_algorithm=id_token_algorithm)) as bff:
        person = await bff.signed_in_and_expired()
        assert id_token_header(bff)["alg"] == id_token_algorithm
        assert (await bff.call(person)).status_code == 200
        await provider.sign_out_at_provider(bff.client, person.login, person)

        async def is_signed_out() -> bool:
            return (await bff.call(person)).status_code == 401

        await until(is_signed_out)
        assert (await person.session())["reason"] == "back_channel"
    seen(id_token_algorithm)


async def test_encrypted_id_tokens(
    tmp_path: Path, provider: Provider, encryption: str, seen: Callable[[str], None]
) -> None:
    """For the key that the provider fetched from the BFF; a sign-out sends what is inside as the hint."""
    alg, enc = encryption.split(" ")
    async with deployed(tmp_path, provider, Wish(encryption=(alg, enc))) as bff:
        person = await bff.signed_in_and_expired()
        header = id_token_header(bff)
        assert (header["alg"], header["enc"]) == (alg, enc)
        assert (await bff.call(person)).status_code == 200
        await provider.sign_out_at_provider(bff.client, person.login, person)

        async def is_signed_out() -> bool:
            return (await bff.call(person)).status_code == 401

        await until(is_signed_out)
        assert (await person.session())["reason"] == "back_channel"
        other = await bff.signed_in("bob@example.com")
        await other.sign_out_everywhere()
        assert (await bff.call(other)).status_code == 401
        assert await other.is_asked_to_sign_in()
    seen(f"{alg} and {enc}")


async def test_signed_userinfo(
    tmp_path: Path, provider: Provider, userinfo_algorithm: str, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider, Wish(userinfo_algorithm=userinfo_algorithm)) as bff:
        person = await bff.signed_in()
        assert (await person.session())["user"]["email"] == person.login
        assert "application/jwt" in provider.proxy.media_types
    seen(userinfo_algorithm)


async def test_client_authentication_with_a_key(
    tmp_path: Path, provider: Provider, client_key_algorithm: str, seen: Callable[[str], None]
) -> None:
    """At every endpoint: the code exchange, the refresh and the revocation."""
    async with deployed(tmp_path, provider, Wish(client_key=client_key_algorithm)) as bff:
        person = await bff.signed_in_and_expired()
        assert (await bff.call(person)).status_code == 200
        await person.sign_out()
        await until(lambda: is_revoked_after_sign_out(bff, person.login))
        await until(lambda: len(client_assertions(bff)) >= 3)  # the answer to the last one may be on its way
        assertions = client_assertions(bff)
        assert len(set(assertions)) == len(assertions)
    seen(client_key_algorithm)


async def test_tokens_bound_to_a_key(
    tmp_path: Path, provider: Provider, dpop_algorithm: str, seen: Callable[[str], None]
) -> None:
    async with deployed(tmp_path, provider, Wish(dpop=True)) as bff:
        person = await bff.signed_in_and_expired()
        bff.upstream.heard.clear()
        answers = await asyncio.gather(*(bff.call(person, number % 2) for number in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        assert {heard.headers["authorization"].partition(" ")[0] for heard in bff.upstream.heard} == {"DPoP"}
        assert len(provider.proxy.refreshes()) == 1
    seen(f"sign-in and renewal, {dpop_algorithm}")


async def test_the_shape_of_fapi_2(
    tmp_path: Path, provider: Provider, fapi_algorithm: str, seen: Callable[[str], None]
) -> None:
    """What the FAPI 2.0 Security Profile asks of a client, at once."""
    wish = Wish(id_token_algorithm=fapi_algorithm, client_key=fapi_algorithm, dpop=True)
    async with deployed(tmp_path, provider, wish, par="required", client_assertion_audience="issuer") as bff:
        person = await bff.signed_in_and_expired()
        assert (await bff.call(person)).status_code == 200
        assert bff.upstream.heard[-1].headers["authorization"].startswith("DPoP ")
        assertions = client_assertions(bff)
        assert {claims(assertion)["aud"] for assertion in assertions} == {provider.issuer_of(wish)}
        await person.sign_out()
        await until(lambda: is_revoked_after_sign_out(bff, person.login))
    seen("sign-in, renewal, revocation")
