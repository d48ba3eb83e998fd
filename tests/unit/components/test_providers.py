"""What the start makes of the provider's discovery document."""

import json
import logging

import pytest

from bff.components.providers import Providers
from bff.config.settings import Settings, load_settings
from bff.errors import ConfigurationError, ProviderUnavailable
from bff.flows.id_tokens import IdTokenValidator
from bff.flows.offline_access import OfflineAccess
from bff.oidc.metadata import MetadataRefused
from bff.oidc.published_keys import PublishedKeys
from bff.provider.own_keys import public_keys
from tests.harness.minting import EC_KEY, EC_KEY_384, EC_KEY_521, RSA_KEY, AsymmetricKey, jwk, private_jwk
from tests.harness.provider_server import (
    DISCOVERY,
    Behaviour,
    ManualClock,
    ProviderServer,
    answer,
    answer_json,
    client_of,
    discovery_document,
    provider_server,
    reset,
)
from tests.harness.settings import with_changes


async def check(server: ProviderServer, **changes: str) -> None:
    settings = load_settings(with_changes(issuer=server.issuer, **changes))
    async with client_of(server) as provider:
        await Providers(provider, (), IdTokenValidator(provider, settings), PublishedKeys({}), OfflineAccess(())).check(
            settings
        )


@pytest.mark.parametrize(
    "page",
    [
        answer(200, b"<html>We are back soon</html>", {"content-type": "text/html"}),
        answer_json({"maintenance": True}),
        answer_json([]),
        answer(503),
        answer(302, headers={"location": "/maintenance"}),
        reset,
    ],
)
async def test_a_page_that_is_no_discovery_document_does_not_prevent_the_start(
    page: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    async with provider_server() as server:
        server.routes[DISCOVERY] = page
        await check(server)
    records = [record for record in caplog.records if record.name == Providers.__module__]
    assert [record.levelno for record in records] == [logging.WARNING]
    assert records[0].__dict__["why"]


async def test_the_document_that_replaces_such_a_page_is_used() -> None:
    clock = ManualClock()
    async with provider_server() as server, client_of(server, monotonic=clock) as provider:
        good = server.routes[DISCOVERY]
        server.routes[DISCOVERY] = answer(200, b"<html>")
        with pytest.raises(ProviderUnavailable):
            await provider.metadata()
        server.routes[DISCOVERY] = good
        clock.forward(60)
        assert (await provider.metadata()).issuer == server.issuer


async def test_another_issuer_and_a_provider_without_what_is_needed_prevent_the_start() -> None:
    async with provider_server() as server:
        for changes in ({"issuer": "https://elsewhere.example"}, {"jwks_uri": None}):
            server.routes[DISCOVERY] = answer_json({**discovery_document(server.issuer), **changes})
            with pytest.raises(MetadataRefused):
                await check(server)
    async with provider_server() as server:
        with pytest.raises(ConfigurationError, match="BFF_DPOP"):
            await check(server, dpop="on")


async def test_useless_optional_members_do_not_prevent_the_start() -> None:
    async with provider_server({"revocation_endpoint": "", "end_session_endpoint": "none"}) as server:
        await check(server)


async def test_a_reload_publishes_the_other_key_of_the_client() -> None:
    """Not another decryption key: this process cannot decrypt with it before it is started again."""

    def with_keys(key: AsymmetricKey, decryption_key: AsymmetricKey) -> Settings:
        text, other = (json.dumps(private_jwk(each, "k")) for each in (key, decryption_key))
        method = {"client_auth": "private_key_jwt", "client_secret": None}
        return load_settings(with_changes(client_private_key=text, decryption_keys=other, **method))

    before, after = with_keys(EC_KEY, EC_KEY_384), with_keys(RSA_KEY, EC_KEY_521)
    decryption = {**jwk(EC_KEY_384, "k"), "use": "enc"}
    async with provider_server() as server, client_of(server) as provider:
        published = PublishedKeys(public_keys(before))
        providers = Providers(provider, (), IdTokenValidator(provider, before), published, OfflineAccess(()))
        first, etag = published.current
        providers.replace_client_auth(after)
        second, other_etag = published.current
    assert json.loads(first)["keys"] == [{**jwk(EC_KEY, "k"), "use": "sig", "alg": "ES256"}, decryption]
    assert json.loads(second)["keys"] == [{**jwk(RSA_KEY, "k"), "use": "sig", "alg": "RS256"}, decryption]
    assert etag != other_etag
