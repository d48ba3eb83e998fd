"""A provider over TLS: metadata, keys, token requests and revocations, for `bench.refresh` and `bench.scale`.

`python -m bench.token_endpoint PORT CERTIFICATE KEY [SECONDS]`; the certificate is for 127.0.0.1. It answers at once,
or after so many seconds.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any, Final, cast

import httptools
import uvloop

TOKEN: Final = "x" * 900  # bytes: the typical size of Okta's access tokens
HEADERS: Final = (
    b"content-type: application/json\r\ncache-control: no-cache, no-store\r\npragma: no-cache\r\nexpires: 0\r\n"
    b"x-okta-request-id: 0123456789abcdef0123456789abcdef\r\nx-rate-limit-limit: 2400\r\nvary: Origin\r\n"
    b"x-rate-limit-remaining: 2399\r\nx-rate-limit-reset: 1700000000\r\nserver: nginx\r\n"
    b"strict-transport-security: max-age=315360000; includeSubDomains\r\nx-content-type-options: nosniff\r\n"
)


def documents(issuer: str) -> dict[bytes, bytes]:
    """The bodies of the responses by path."""
    tokens = {"token_type": "Bearer", "access_token": TOKEN, "expires_in": 3600, "scope": "openid offline_access"}
    metadata = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "revocation_endpoint": f"{issuer}/revoke",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }
    bodies: dict[bytes, dict[str, Any]] = {
        b"/.well-known/openid-configuration": metadata,
        b"/keys": {"keys": []},
        b"/token": tokens,
        b"/revoke": {},
    }
    return {path: json.dumps(body).encode() for path, body in bodies.items()}


class Connection(asyncio.Protocol):
    """Each token response has another refresh token."""

    count = 0

    def __init__(self, bodies: dict[bytes, bytes], answer_time: float) -> None:
        self._bodies, self._url, self._answer_time = bodies, b"", answer_time
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        body = self._bodies.get(self._url.partition(b"?")[0], b"{}")
        if self._url == b"/token":
            Connection.count += 1
            body = body[:-1] + b', "refresh_token": "%020d%b"}' % (Connection.count, b"r" * 23)
        head = b"HTTP/1.1 200 OK\r\n" + HEADERS + b"content-length: %d\r\n\r\n" % len(body)
        if self._answer_time:
            asyncio.get_running_loop().call_later(self._answer_time, self._transport.write, head + body)
        else:
            self._transport.write(head + body)


async def serve(port: int, certificate: Path, key: Path, answer_time: float) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    bodies = documents(f"https://127.0.0.1:{port}")
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(bodies, answer_time), "127.0.0.1", port, ssl=tls
    )
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float((*sys.argv, "0")[4])))
