"""Signing keys, PKCE and pushed requests of a provider, compared with the settings."""

import pytest

from bff.admin.doctor import capabilities
from bff.admin.doctor.check_result import CheckResult
from bff.config.settings import load_settings
from bff.oidc.metadata import ProviderMetadata
from bff.provider.http import HttpClient
from tests.harness.minting import RSA_KEY, jwk, jwks
from tests.harness.provider_server import Behaviour, answer, answer_json, provider_server, reset
from tests.harness.settings import with_changes

LEAKED = {**jwk(RSA_KEY), "d": "AQAB"}


async def checked_keys(behaviour: Behaviour, **changes: str) -> CheckResult:
    async with provider_server(keys=behaviour) as provider:
        issuer = provider.issuer
        metadata = ProviderMetadata(issuer, f"{issuer}/authorize", f"{issuer}/token", f"{issuer}/keys")
        http = HttpClient()
        try:
            settings = load_settings(with_changes(issuer=issuer, provider_timeout="60", **changes))
            return await capabilities.keys(http, settings, metadata)
        finally:
            await http.close()


@pytest.mark.parametrize(
    ("behaviour", "changes", "status", "observed"),
    [
        (answer(200, jwks(jwk(RSA_KEY))), {}, "ok", "usable for RS256"),
        (answer(200, jwks(jwk(RSA_KEY))), {"id_token_algorithms": "ES256"}, "fail", "the provider signs with RS256"),
        (answer_json({"keys": []}), {}, "fail", "no usable signing key"),
        (answer_json({"keys": [LEAKED]}), {}, "fail", "publishes 1 private or symmetric key"),
        (answer_json({"keys": [LEAKED, jwk(RSA_KEY)]}), {}, "fail", "publishes 1 private or symmetric key"),
        (answer(503), {}, "fail", "answers 503"),
        (reset, {}, "fail", "cannot be reached"),
    ],
)
async def test_signing_keys(behaviour: Behaviour, changes: dict[str, str], status: str, observed: str) -> None:
    result = await checked_keys(behaviour, **changes)
    assert (result.status, bool(result.fix)) == (status, status != "ok")
    assert observed in result.observed


def test_pkce() -> None:
    assert capabilities.pkce({"code_challenge_methods_supported": ["S256"]}).status == "ok"
    assert capabilities.pkce({}).status == "warn"


@pytest.mark.parametrize(
    ("par", "offered", "required", "status", "words"),
    [
        ("auto", False, False, "ok", "not offered"),
        ("auto", True, False, "ok", "offered and used"),
        ("never", True, False, "ok", "BFF_PAR is never"),
        ("never", True, True, "fail", "requires pushed"),
        ("required", True, False, "ok", "offered and used"),
        ("required", False, False, "fail", "no pushed authorization request endpoint"),
    ],
)
def test_pushed_requests(par: str, offered: bool, required: bool, status: str, words: str) -> None:
    metadata = ProviderMetadata(
        "https://x.example",
        *(f"https://x.example/{name}" for name in ("authorize", "token", "keys")),
        pushed_authorization_request_endpoint="https://x.example/par" if offered else None,
        require_pushed_authorization_requests=required,
    )
    result = capabilities.pushed_requests(load_settings(with_changes(par=par)), metadata)
    assert (result.status, words in result.observed) == (status, True)
    assert ("Set BFF_PAR to auto" in result.fix) is (status == "fail")
