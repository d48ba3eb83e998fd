"""Logout requests to applications: logout tokens, and Okta's Universal Logout.

Okta itself sends no back-channel logout tokens; other providers do, in OpenID's format.
"""

import secrets
from typing import Any

import httpx

from demo.simulator.org import Org

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TIMEOUT = 10.0  # seconds
LOGOUT_TOKEN_LIFETIME = 120  # seconds
REVOCATION_TOKEN_LIFETIME = 300  # seconds


class SignOutOrders:
    def __init__(self, org: Org) -> None:
        self._org = org

    def logout_token(
        self,
        *,
        sub: str | None = None,
        sid: str | None = None,
        issuer: str | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A logout token of the custom server. A claim set to None is omitted."""
        now = int(self._org.now())
        claims = {
            "iss": issuer or f"{self._org.base_url}/oauth2/default",
            "aud": self._org.config.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFETIME,
            "jti": secrets.token_urlsafe(12),
            "events": {EVENT: {}},
            "sub": sub,
            "sid": sid,
            **changes,
        }
        return self._org.keys.current.sign(_without_none(claims), {"typ": "logout+jwt", **(header or {})})

    def revocation_token(self, endpoint: str, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """The bearer token of a Universal Logout request, as Okta documents it: without a kid, the org as issuer."""
        now = int(self._org.now())
        claims = {
            "iss": self._org.base_url,
            "aud": endpoint,
            "sub": self._org.config.client_id,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "nbf": now - REVOCATION_TOKEN_LIFETIME,
            "exp": now + REVOCATION_TOKEN_LIFETIME,
            **changes,
        }
        type_header = {"typ": "global-token-revocation+jwt", "kid": None}
        return self._org.keys.current.sign(_without_none(claims), {**type_header, **(header or {})})

    async def send_logout_token(self, url: str, *, sub: str | None = None, sid: str | None = None) -> int:
        """The status of the answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
            answer = await http.post(url, data={"logout_token": self.logout_token(sub=sub, sid=sid)})
        self._org.record("logout_token", f"a logout token was answered {answer.status_code}", sub=sub)
        return answer.status_code

    async def send_global_token_revocation(
        self, url: str, *, email: str | None = None, sub: str | None = None, endpoint: str | None = None
    ) -> int:
        """The status of the answer. `endpoint` is the application's address as it was registered, if not `url`."""
        subject = {"format": "email", "email": email}
        if email is None:
            subject = {"format": "iss_sub", "iss": self._org.base_url, "sub": sub}
        headers = {"authorization": f"Bearer {self.revocation_token(endpoint or url)}"}
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT) as http:
            answer = await http.post(url, json={"sub_id": subject}, headers=headers)
        self._org.record("universal_logout", f"a universal logout was answered {answer.status_code}", sub=sub)
        return answer.status_code

    def sids_of(self, sub: str) -> list[str]:
        """The user's sessions at the provider, newest last."""
        return [session.sid for session in self._org.sessions.all_of(sub)]


def _without_none(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}
