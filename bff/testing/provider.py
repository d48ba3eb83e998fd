"""An OpenID Provider in memory: it signs in the user that the test names, and rotates refresh tokens."""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from bff.base64url import encode_base64url
from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import ClientAuthentication
from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.jws import sign
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.private_keys import new_private_jwk, private_key_of
from bff.oidc.public_jwk import public_members
from bff.oidc.pushed_authorization import NotPushed, PushResult
from bff.oidc.token import Denied, Granted, NoAnswer, RevocationResult, Revoked, TokenResponse, TokenResult
from bff.oidc.token import TokenTypeHint as Hint
from bff.oidc.userinfo import UserInfo

ISSUER: Final = "https://provider.test"
CLIENT_ID: Final = "client-of-the-tests"
USER: Final[Mapping[str, Any]] = {"sub": "user-1", "name": "Ann Example", "email": "ann@example.com"}


@dataclass
class _Grant:
    """One sign-in: its claims, and the refresh token that is good now."""

    claims: dict[str, Any]
    request: dict[str, str]
    refresh_token: str = ""
    ended: bool = False
    access_tokens: list[str] = field(default_factory=list)


class FakeProvider:
    """Implements `bff.components.ports.ManagedProvider`. Its clock, and the application's, move with `advance`."""

    def __init__(self, *, access_token_lifetime: int = 3600) -> None:
        """`access_token_lifetime` is in seconds."""
        self.available = True
        self.refreshes = 0
        self._lifetime, self._ahead = access_token_lifetime, 0.0
        member = new_private_jwk("ES256")
        self._key, self._kid = private_key_of(member).key, member["kid"]
        self._codes: dict[str, _Grant] = {}
        self._grants: list[_Grant] = []
        self._numbers = itertools.count(1)

    # --- what a test does

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """As if that time had passed, for this provider and for the application."""
        self._ahead += seconds

    def authorize(self, url: str, claims: Mapping[str, Any] = USER) -> str:
        """The user of these claims signs in at the authorization URL; the URL that the browser is sent back to.

        Raises ValueError for a request that a provider would refuse.
        """
        request = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        required = {"client_id": CLIENT_ID, "response_type": "code", "code_challenge_method": "S256"}
        if wrong := [name for name, value in required.items() if request.get(name) != value]:
            raise ValueError(f"the authorization request has another {wrong[0]}")
        code = f"code-{next(self._numbers)}"
        self._codes[code] = _Grant(dict(claims), request)
        return f"{request['redirect_uri']}?{urlencode({'code': code, 'state': request['state']})}"

    def disable(self, sub: str) -> None:
        """The account is disabled: its refresh tokens are refused from now on."""
        for grant in self._grants:
            grant.ended = grant.ended or grant.claims["sub"] == sub

    def user_of(self, access_token: str) -> Mapping[str, Any] | None:
        """The claims of the user that an access token was issued for."""
        return next((grant.claims for grant in self._grants if access_token in grant.access_tokens), None)

    # --- what the BFF asks for

    async def metadata(self) -> ProviderMetadata:
        if not self.available:
            raise ProviderUnavailable(retry_after=5)
        return ProviderMetadata(
            issuer=ISSUER,
            authorization_endpoint=f"{ISSUER}/authorize",
            token_endpoint=f"{ISSUER}/token",
            jwks_uri=f"{ISSUER}/keys",
            end_session_endpoint=f"{ISSUER}/logout",
            revocation_endpoint=f"{ISSUER}/revoke",
            id_token_signing_alg_values_supported=("ES256",),
        )

    async def refetch_metadata(self) -> ProviderMetadata:
        return await self.metadata()

    async def keys(self, kid: str | None = None) -> KeySet:
        key = {**public_members(self._key), "use": "sig", "alg": "ES256", "kid": self._kid}
        return parse_key_set(json.dumps({"keys": [key]}).encode())

    async def push(self, parameters: object) -> PushResult:
        return NotPushed("this provider has no endpoint for it")

    async def exchange_code(
        self, code: str, *, redirect_uri: str, code_verifier: str, dpop_key: str | None = None
    ) -> TokenResult:
        if not self.available:
            return NoAnswer(may_have_been_sent=False)
        grant = self._codes.pop(code, None)
        challenge = encode_base64url(hashlib.sha256(code_verifier.encode()).digest())
        if grant is None or grant.request["redirect_uri"] != redirect_uri:
            return Denied(400, "invalid_grant")
        if grant.request["code_challenge"] != challenge:
            return Denied(400, "invalid_grant")
        self._grants.append(grant)
        return self._granted(grant)

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
        resource: str | None = None,
    ) -> TokenResult:
        if not may_send() or not self.available:
            return NoAnswer(may_have_been_sent=False)
        self.refreshes += 1
        grant = next((grant for grant in self._grants if grant.refresh_token == refresh_token), None)
        return Denied(400, "invalid_grant") if grant is None or grant.ended else self._granted(grant)

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> UserInfo:
        claims = self.user_of(access_token)
        if claims is None or not self.available:
            raise ProviderUnavailable
        return claims

    async def revoke(self, token: str, token_type_hint: Hint, *, within: float) -> RevocationResult:
        for grant in self._grants:
            grant.ended = grant.ended or token == grant.refresh_token or token in grant.access_tokens
        return Revoked()

    async def exchange_token(
        self,
        subject_token: str,
        *,
        audience: str,
        scope: Collection[str],
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
    ) -> TokenResult:
        if not may_send() or not self.available:
            return NoAnswer(may_have_been_sent=False)
        grant = next((grant for grant in self._grants if subject_token in grant.access_tokens), None)
        if grant is None or grant.ended:
            return Denied(400, "invalid_grant")
        grant.access_tokens.append(f"access-token-{next(self._numbers)}-for-{audience}")
        return Granted(TokenResponse(grant.access_tokens[-1], self._lifetime, scope=" ".join(scope)))

    async def client_token(
        self, scopes: Collection[str], *, audience: str | None = None, dpop_key: str | None = None
    ) -> TokenResult:
        if not self.available:
            return NoAnswer(may_have_been_sent=False)
        return Granted(TokenResponse(f"client-token-{next(self._numbers)}", self._lifetime, scope=" ".join(scopes)))

    def replace_client_auth(self, client_auth: ClientAuthentication) -> None:
        """The client is not authenticated here."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _granted(self, grant: _Grant) -> Granted:
        number = next(self._numbers)
        grant.refresh_token = f"refresh-token-{number}"
        grant.access_tokens.append(f"access-token-{number}")
        return Granted(
            TokenResponse(
                access_token=grant.access_tokens[-1],
                expires_in=self._lifetime,
                refresh_token=grant.refresh_token,
                id_token=self._id_token(grant),
                scope=grant.request["scope"],
            )
        )

    def _id_token(self, grant: _Grant) -> str:
        now = int(self.now())
        times = {"iat": now, "exp": now + 3600, "auth_time": now}
        nonce = {"nonce": grant.request["nonce"]} if len(grant.access_tokens) == 1 else {}
        claims = {**times, **grant.claims, **nonce, "iss": ISSUER, "aud": CLIENT_ID}
        return sign(claims, self._key, alg="ES256", kid=self._kid)
