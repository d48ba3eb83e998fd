"""The discovery document over real sockets."""

from collections.abc import Callable
from typing import Any

import pytest

from bff.config.provider import EndpointSettings, TransportSettings
from bff.errors import ProviderUnavailable
from bff.oidc.metadata import MetadataRefused
from bff.oidc.token import Revoked
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderConnections
from bff.provider.discovery import LIFETIME, discovery
from tests.harness.gzip_bomb import gzip_bomb
from tests.harness.provider_server import (
    BASIC,
    DISCOVERY,
    WITHIN,
    Behaviour,
    ManualClock,
    answer,
    answer_json,
    client_of,
    endless,
    late,
    provider_server,
    reset,
    stall,
)
from tests.harness.waiting import until


def redirect(location: str) -> Behaviour:
    return answer(301, b"", {"location": location})


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(redirect("http://127.0.0.1:1/"), id="JK-003 to another host"),
        pytest.param(redirect("https://127.0.0.1:1/"), id="JK-003 to another scheme"),
        pytest.param(redirect("file:///etc/passwd"), id="JK-003 to a file"),
        pytest.param(answer(200, b"<html>Sign in to the wifi</html>", {"content-type": "text/html"}), id="JK-005 HTML"),
        pytest.param(answer(200, b" " * 10_000_000), id="JK-006 10 MB"),
        pytest.param(answer(200, gzip_bomb(32), {"content-encoding": "gzip"}), id="JK-006 gzip bomb"),
        pytest.param(endless, id="JK-006 never ends"),
        pytest.param(stall, id="JK-006 never begins"),
        pytest.param(reset, id="reset"),
        pytest.param(answer(500), id="500"),
        pytest.param(answer(404), id="404"),
        pytest.param(answer_json({"issuer": "https://evil"}), id="of another issuer"),
        pytest.param(answer_json({"maintenance": True}), id="JSON of another kind"),
    ],
)
async def test_an_unusable_document_neither_replaces_a_good_one_nor_is_used_as_the_first(
    behaviour: Behaviour, advance_clock: Callable[[float], None]
) -> None:
    bad = late(stall, advance_clock) if behaviour is stall else behaviour
    clock = ManualClock()
    async with provider_server() as server:
        async with client_of(server, monotonic=clock) as provider:
            await provider.metadata()
            server.routes[DISCOVERY] = bad
            clock.forward(LIFETIME)
            assert (await provider.metadata()).issuer == server.issuer
            await until(lambda: provider._metadata.problem, within=2 * WITHIN)  # the clock jumps by WITHIN
            assert (await provider.metadata()).token_endpoint == f"{server.issuer}/token"
        async with client_of(server, monotonic=clock) as cold:
            with pytest.raises(ProviderUnavailable):
                await cold.metadata()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"jwks_uri": "file:///etc/passwd"}, "jwks_uri: must be https", id="JK-008 file"),
        pytest.param({"jwks_uri": None}, "jwks_uri: missing", id="JK-009 no jwks_uri"),
        pytest.param({"response_types_supported": ["token"]}, "code flow", id="JK-009 no code flow"),
        pytest.param({"code_challenge_methods_supported": []}, "S256", id="JK-009 no S256"),
    ],
)
async def test_an_unusable_document_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    async with provider_server(changes) as server, client_of(server, monotonic=ManualClock()) as provider:
        for _ in range(2):  # during the back-off too
            with pytest.raises(MetadataRefused, match=reason):
                await provider.metadata()
        assert server.count(DISCOVERY) == 1


async def test_useless_members_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    changes = {"revocation_endpoint": "", "dpop_signing_alg_values_supported": "ES256"}
    async with provider_server(changes) as server, client_of(server) as provider:
        assert (await provider.metadata()).revocation_endpoint is None
    (record,) = [record for record in caplog.records if record.name == discovery.__module__]
    assert record.__dict__["members"] == (
        "revocation_endpoint: not a URL. dpop_signing_alg_values_supported: not a list of strings."
    )


async def test_endpoints_that_the_document_does_not_name_come_from_the_settings() -> None:
    async with provider_server({"revocation_endpoint": None}, revoke_token=answer(200)) as server:
        own = {name: f"{server.issuer}/{name}" for name in ("revoke_token", "logout", "me")}
        endpoints = EndpointSettings(
            revocation_endpoint=own["revoke_token"], end_session_endpoint=own["logout"], userinfo_endpoint=own["me"]
        )
        connections = ProviderConnections(TransportSettings(timeout=WITHIN, endpoints=endpoints))
        provider = HttpProvider(server.issuer, BASIC, connections)
        metadata = await provider.metadata()
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        await provider.close()
        assert (metadata.end_session_endpoint, metadata.userinfo_endpoint) == (own["logout"], own["me"])
        assert (metadata.token_endpoint, server.count("/revoke_token")) == (f"{server.issuer}/token", 1)
