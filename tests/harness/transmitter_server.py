"""A transmitter of security events over HTTP with poll delivery: metadata, keys, one stream, and what waits in it."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from tests.harness.minting import RSA_KEY, jwk, jwks
from tests.harness.security_events import security_event_token


@dataclass
class TransmitterServer:
    """An ASGI application at `url`. A token waits under its `jti` until it is acknowledged or refused."""

    url: str
    audience: str
    waiting: dict[str, str] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    polls: int = 0
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def token(self, now: float, events: dict[str, Any], **changes: Any) -> tuple[str, str]:
        """The `jti` and the token."""
        jti = f"set-{next(self._numbers)}"
        claims = {"iss": self.url, "aud": self.audience, "jti": jti, **changes}
        return jti, security_event_token(now, events, **claims)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = dict(await receive())
            body += message.get("body", b"")
        content = self._answer(scope["method"], scope["path"], json.loads(body) if body else {})
        status, answer = (404, b"") if content is None else (200, json.dumps(content).encode())
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/.well-known/ssf-configuration":
                return {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/keys",
                    "configuration_endpoint": f"{self.url}/stream",
                }
            case "/keys":
                return json.loads(jwks(jwk(RSA_KEY)))
            case "/stream":
                delivery = {"method": "urn:ietf:rfc:8936", "endpoint_url": f"{self.url}/poll"}
                return {"stream_id": "stream-1", "aud": self.audience, "delivery": delivery}
            case "/poll":
                return self._poll(body)
            case _:
                return None

    def _poll(self, body: dict[str, Any]) -> Any:
        self.polls += 1
        for jti in body.get("ack", []):
            self.waiting.pop(jti, None)
            self.acknowledged.append(jti)
        for jti, error in body.get("setErrs", {}).items():
            self.waiting.pop(jti, None)
            self.refused[jti] = error["err"]
        first = dict(itertools.islice(self.waiting.items(), body.get("maxEvents", 100)))
        return {"sets": first, "moreAvailable": len(self.waiting) > len(first)}
