"""Connections to another address than the URL's: the names that TLS and HTTP see stay those of the URL."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bff.config.provider import TransportSettings
from bff.oidc.client_auth import client_authentication
from bff.oidc.token import Granted, NoAnswer
from bff.provider.addresses import AddressMap
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderClient, ProviderConnections, open_client
from bff.provider.response import HttpResponse
from tests.harness.certificates import Authority, server_context
from tests.harness.provider_server import (
    DISCOVERY,
    WITHIN,
    answer,
    answer_json,
    discovery_document,
    provider_server,
)
from tests.harness.raw_http import HttpServer, Reader, Request, Writer, listening


class TlsServer:
    """Answers every request; `names` are the TLS server names that clients asked for."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.http, self.context, self.names = HttpServer(), context, list[str | None]()
        context.sni_callback = self._named

    def _named(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.names.append(name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TlsServer"]:
        async def respond(request: Request, _: Reader, writer: Writer) -> bool:
            await answer(200, b"{}")(request, writer)
            return True

        async with listening(self.http, respond, tls=self.context):
            yield self


def client(*entries: str, ca_file: Path, frequent: bool) -> ProviderClient:
    return open_client(TransportSettings(addresses=entries, ca_file=ca_file), connections=4, frequent=frequent)


async def get(http: ProviderClient, url: str) -> Any:
    return await http.send("GET", url, within=WITHIN, limit=1000)


@pytest.mark.parametrize("frequent", [False, True])
async def test_the_host_header_and_the_tls_name_stay_those_of_the_url(tmp_path: Path, frequent: bool) -> None:
    ours = Authority(tmp_path, "ours")
    async with TlsServer(server_context(ours.issue("id", host="id.example"))).running() as server:
        there = f"127.0.0.1:{server.http.port}"
        http = client(f"id.example={there}", f"other.example={there}", ca_file=ours.file, frequent=frequent)
        assert isinstance(await get(http, "https://id.example/keys"), HttpResponse)
        refused = await get(http, "https://other.example/keys")
        assert isinstance(await get(http, "https://id.example/keys"), HttpResponse)
        await http.close()
    assert isinstance(refused, NoAnswer)
    assert "certificate not trusted" in refused.why
    assert not refused.may_have_been_sent
    assert server.names == ["id.example", "other.example"]  # the third request reused the first connection
    assert [request.headers["host"] for request in server.http.requests] == ["id.example"] * 2


@pytest.mark.parametrize(
    ("entries", "host", "port", "there"),
    [
        ("id.example:8080=10.0.0.7:8443 id.example=10.0.0.8", "id.example", 8080, ("10.0.0.7", 8443)),
        ("id.example:8080=10.0.0.7:8443 id.example=10.0.0.8", "id.example", 443, ("10.0.0.8", 443)),
        ("[2001:db8::7]:80=[2001:db8::8]", "2001:db8::7", 80, ("2001:db8::8", 80)),
        ("id.example=10.0.0.7", "id.example.evil", 443, ("id.example.evil", 443)),
        ("id.example=10.0.0.7", "10.0.0.8", 443, ("10.0.0.8", 443)),
    ],
)
def test_an_entry_with_a_port_precedes_one_for_every_port(
    entries: str, host: str, port: int, there: tuple[str, int]
) -> None:
    assert AddressMap(TransportSettings(addresses=entries).address_map).of(host, port) == there


async def test_a_provider_that_browsers_reach_by_another_address() -> None:
    """Keycloak in a container network: every URL of its document has the public name."""
    async with provider_server() as server:
        public = "http://localhost:8080/realms/demo"
        server.routes["/realms/demo" + DISCOVERY] = answer_json(discovery_document(public))
        server.routes["/realms/demo/token"] = server.routes["/token"]
        transport = TransportSettings(addresses=f"localhost:8080=127.0.0.1:{server.port}", timeout=WITHIN)
        auth = client_authentication("client_secret_basic", "0oa1", secrets=["one"])
        provider = HttpProvider(public, auth, ProviderConnections(transport))
        assert isinstance(await provider.refresh("rt1", timeout=WITHIN), Granted)
        await provider.close()
    assert {request.headers["host"] for request in server.requests} == {"localhost:8080"}
