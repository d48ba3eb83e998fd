"""The discovery document, its issuer, and the clock skew, with a provider on a real socket."""

import time
from email.utils import formatdate
from typing import Any

import pytest

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.metadata import discover, unreachable
from bff.config.settings import load_settings
from bff.provider.http import HttpClient
from tests.harness.provider_server import (
    DISCOVERY,
    Behaviour,
    ProviderServer,
    answer,
    answer_json,
    discovery_document,
    provider_server,
    reset,
)
from tests.harness.settings import RIGHT, with_changes

PATH = "/oauth2/default"
FOR_CLIENT = f"{DISCOVERY}?client_id={RIGHT['BFF_CLIENT_ID']}"


async def checked(
    provider: ProviderServer, *, path: str = "", ahead: float = 0.0, **changes: str
) -> dict[str, CheckResult]:
    settings = load_settings(with_changes(issuer=provider.issuer + path, provider_timeout="60", **changes))
    http = HttpClient()
    try:
        discovered = await discover(http, settings, lambda: time.time() + ahead)
    finally:
        await http.close()
    return {result.name: result for result in discovered.findings}


async def document(**changes: Any) -> dict[str, CheckResult]:
    """The results for a document that differs from a valid one."""
    async with provider_server() as provider:
        found = answer_json(discovery_document(provider.issuer, **changes))
        provider.routes |= {DISCOVERY: found, FOR_CLIENT: found}
        return await checked(provider)


async def test_a_valid_document() -> None:
    results = await document()
    assert {name: results[name].status for name in ("metadata", "endpoints", "issuer")} == dict.fromkeys(
        ("metadata", "endpoints", "issuer"), "ok"
    )
    assert "an OpenID Provider" in results["metadata"].observed


async def test_an_issuer_with_a_trailing_slash() -> None:
    async with provider_server() as provider:
        issuer = f"{provider.issuer}/app/"
        found = answer_json({**discovery_document(provider.issuer), "issuer": issuer})
        provider.routes |= {"/app" + DISCOVERY: found, "/app" + FOR_CLIENT: found}
        results = await checked(provider, path="/app/")
    assert (results["metadata"].status, results["issuer"].status) == ("ok", "ok")
    assert results["issuer"].observed == issuer


@pytest.mark.parametrize(
    ("behaviour", "observed", "at_okta", "elsewhere"),
    [
        (reset, "cannot be reached", "BFF_PROVIDER_PROXY", "BFF_PROVIDER_ADDRESSES"),
        (answer(404), "answers 404", "Security > API > Authorization Servers", "its realm, tenant or application"),
        (answer(302, headers={"location": "/"}), "answers 302", "the issuer itself", "the issuer itself"),
        (answer(503), "answers 503", "status.okta.com", "run this command again later"),
        (answer(200, b"<html>"), "answers 200 without a discovery document", "without -admin", "BFF_ISSUER"),
        (answer_json({"no": "issuer"}), "without a discovery document", "BFF_ISSUER", "BFF_ISSUER"),
    ],
)
async def test_no_discovery_document(behaviour: Behaviour, observed: str, at_okta: str, elsewhere: str) -> None:
    for path, fix in ((PATH, at_okta), ("", elsewhere)):
        async with provider_server() as provider:
            provider.routes[path + DISCOVERY] = behaviour
            result = (await checked(provider, path=path))["metadata"]
        assert result.status == "fail"
        assert observed in result.observed
        assert fix in result.fix
    assert "Okta" not in result.fix


@pytest.mark.parametrize(
    ("named", "fix"),
    [
        ("{issuer}/", "the trailing slash is significant"),
        ("https://login.example.com/oauth2/default", "a custom domain"),
        ("https://elsewhere.example.com/realms/x", "if that is the intended provider"),
    ],
)
async def test_a_document_of_another_issuer(named: str, fix: str) -> None:
    async with provider_server() as provider:
        named = named.format(issuer=provider.issuer + PATH)
        provider.routes[PATH + DISCOVERY] = answer_json({"issuer": named})
        result = (await checked(provider, path=PATH))["issuer"]
    assert result.status == "fail"
    assert named in result.observed
    assert f"Set BFF_ISSUER to {'exactly ' if named.endswith('/') else ''}{named}" in result.fix
    assert fix in result.fix


async def test_a_document_that_lacks_an_endpoint() -> None:
    result = (await document(token_endpoint=None))["metadata"]
    assert (result.status, "token_endpoint" in result.observed) == ("fail", True)


async def test_members_that_cannot_be_used() -> None:
    result = (await document(revocation_endpoint=""))["metadata"]
    assert (result.status, "revocation_endpoint: not a URL." in result.observed) == ("warn", True)


async def test_endpoints_of_the_settings_are_checked_like_those_of_the_document() -> None:
    elsewhere = {"provider_revocation_endpoint": "https://oauth.example/revoke"}
    async with provider_server() as provider:
        provider.routes[FOR_CLIENT] = provider.routes[DISCOVERY]
        result = (await checked(provider, **elsewhere))["endpoints"]
    assert "revocation_endpoint at oauth.example" in result.observed


async def test_endpoints_on_another_host() -> None:
    result = (await document(revocation_endpoint="https://oauth.example/revoke"))["endpoints"]
    assert (result.status, "revocation_endpoint at oauth.example" in result.observed) == ("warn", True)


@pytest.mark.parametrize(
    ("behaviour", "observed", "fix"),
    [
        (answer_json({"issuer": "https://login.example.com"}), "uses the issuer https://login", "ID Token > Issuer"),
        (answer(400), f"does not know the client {RIGHT['BFF_CLIENT_ID']}", "BFF_CLIENT_ID"),
    ],
)
async def test_okta_names_the_issuer_for_this_client(behaviour: Behaviour, observed: str, fix: str) -> None:
    async with provider_server() as provider:
        issuer = provider.issuer + PATH
        found = answer_json({**discovery_document(provider.issuer), "issuer": issuer})
        provider.routes |= {PATH + DISCOVERY: found, PATH + FOR_CLIENT: behaviour}
        result = (await checked(provider, path=PATH))["issuer"]
    assert result.status == "fail"
    assert observed in result.observed
    assert fix in result.fix


async def test_another_provider_may_refuse_the_parameter() -> None:
    async with provider_server() as provider:
        provider.routes[FOR_CLIENT] = answer(400)
        assert (await checked(provider))["issuer"].status == "ok"


@pytest.mark.parametrize("body", [b"{", b"[]"])
async def test_a_provider_that_ignores_the_client_id(body: bytes) -> None:
    async with provider_server() as provider:
        provider.routes[FOR_CLIENT] = answer(200, body)
        assert (await checked(provider))["issuer"].status == "ok"


@pytest.mark.parametrize(
    ("ahead", "age", "status", "observed"),
    [
        (0, "0", "ok", "within"),
        (200, "0", "fail", "200 s ahead of the provider's, more than BFF_CLOCK_SKEW"),
        (-200, "0", "fail", "200 s behind the provider's"),
        (30, "0", "warn", "30 s ahead of the provider's."),
        (30, "30", "ok", "within"),
    ],
)
async def test_the_clock_is_compared_with_the_date_and_age_of_the_response(
    ahead: float, age: str, status: str, observed: str
) -> None:
    now = float(int(time.time()))
    async with provider_server() as provider:
        body = discovery_document(provider.issuer)
        provider.routes[DISCOVERY] = answer_json(body, headers={"date": formatdate(now, usegmt=True), "age": age})
        provider.routes[FOR_CLIENT] = provider.routes[DISCOVERY]
        settings = load_settings(with_changes(issuer=provider.issuer, provider_timeout="60"))
        http = HttpClient()
        discovered = await discover(http, settings, lambda: now + ahead)
        await http.close()
    (result,) = [result for result in discovered.findings if result.name == "clock"]
    assert result.status == status
    assert observed in result.observed
    assert bool(result.fix) is (status != "ok")


async def test_without_a_date_the_clock_is_not_compared() -> None:
    assert (await document())["clock"].status == "skipped"


def test_an_untrusted_certificate_has_its_own_fix() -> None:
    assert "BFF_PROVIDER_CA_FILE" in unreachable("metadata", "https://x", "ConnectError: SSL certificate").fix
