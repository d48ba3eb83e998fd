"""An API that asks for a stronger or fresher sign-in (RFC 9470)."""

import base64
import json
from typing import Final

from starlette.types import Receive, Scope, Send

TWO_FACTORS: Final = "urn:okta:loa:2fa:any"


class Bank:
    """Wants two factors at /api/transfer, and a sign-in of the last five minutes at /api/limit."""

    def __init__(self) -> None:
        self.now = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        wanted = None
        if scope["path"].endswith("transfer") and claims.get("acr") != TWO_FACTORS:
            wanted = f'acr_values="{TWO_FACTORS}"'
        if scope["path"].endswith("limit") and claims["auth_time"] < self.now - 300:
            wanted = 'max_age="300"'
        fields = [(b"content-length", b"0")]
        if wanted is not None:
            challenge = f'Bearer error="insufficient_user_authentication", {wanted}'
            fields.append((b"www-authenticate", challenge.encode()))
        await send({"type": "http.response.start", "status": 401 if wanted else 200, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
