"""An OpenID provider without a network, on the simulated Okta's tokens: every answer comes at a random moment."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import (
    Denied,
    Granted,
    NoAnswer,
    RevocationResult,
    Revoked,
    TokenResponse,
    TokenResult,
    TokenTypeHint,
)
from demo.simulator.grants import Issued, RotationPolicy, SignIn
from demo.simulator.sign_out_orders import EVENT
from demo.simulator.signing_keys import SigningKey
from demo.simulator.token_families import TokenFamilies
from tests.harness.minting import jwks

ORG = "https://races.okta.example"
ISSUER = f"{ORG}/oauth2/default"
CLIENT_ID = "0oaraces"
KEY = SigningKey.generate()


@dataclass(frozen=True)
class Person:
    number: int

    @property
    def sub(self) -> str:
        return f"00u{self.number}"

    @property
    def email(self) -> str:
        return f"person{self.number}@example.com"


class RacingProvider:
    """`lifetime` of access tokens (those given from now on) and `slow` (the longest answer) in seconds."""

    def __init__(self, chance: Random, *, lifetime: int, slow: float) -> None:
        self.families = TokenFamilies(RotationPolicy(access_token_lifetime=lifetime))
        self._chance, self._slow, self.lifetime = chance, slow, lifetime
        self.codes: dict[str, tuple[Person, str, str]] = {}
        self.exchanges: list[str] = []  # the audience of each token exchange

    # --- what a test does

    def code_for(self, person: Person, sid: str, nonce: str) -> str:
        code = secrets.token_urlsafe(12)
        self.codes[code] = person, sid, nonce
        return code

    def logout_token(self, *, sub: str | None = None, sid: str | None = None) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": f"{sub}-{sid}"}
        who = {"sub": sub} if sub is not None else {"sid": sid}
        return KEY.sign({**claims, **who, "events": {EVENT: {}}}, {"typ": "logout+jwt"})

    def revocation_token(self, endpoint: str, jti: str) -> str:
        now = int(time.time())
        claims = {"iss": ORG, "aud": endpoint, "sub": CLIENT_ID, "jti": jti, "iat": now, "exp": now + 300}
        return KEY.sign(claims, {"typ": "global-token-revocation+jwt", "kid": None})

    def alive(self) -> list[str]:
        """Whose tokens still are good."""
        return [family.sub for family in self.families.families() if family.revoked is None]

    # --- the port

    async def metadata(self) -> ProviderMetadata:
        return ProviderMetadata(
            issuer=ISSUER,
            authorization_endpoint=f"{ISSUER}/v1/authorize",
            token_endpoint=f"{ISSUER}/v1/token",
            jwks_uri=f"{ISSUER}/v1/keys",
            end_session_endpoint=f"{ISSUER}/v1/logout",
            revocation_endpoint=f"{ISSUER}/v1/revoke",
        )

    async def keys(self, kid: str | None = None) -> KeySet:
        return parse_key_set(jwks(KEY.jwk()))

    async def exchange_code(self, code: str, **_: Any) -> TokenResult:
        person, sid, nonce = self.codes.pop(code)
        await self._pause()
        now = time.time()
        scope = frozenset({"openid", "email", "offline_access"})
        grant = SignIn(person.sub, CLIENT_ID, ISSUER, scope, sid=sid, auth_time=int(now))
        answer = self._granted(self.families.sign_in(grant, now), person, nonce)
        await self._pause()
        return answer

    async def refresh(
        self, refresh_token: str, *, may_send: Callable[[], bool] = lambda: True, **_: Any
    ) -> TokenResult:
        await self._pause()
        if not may_send():
            return NoAnswer(False, "too late to send")
        outcome = self.families.refresh(refresh_token, client_id=CLIENT_ID, now=time.time())
        await self._pause()
        if not isinstance(outcome, Issued):
            return Denied(400, "invalid_grant", "")
        return self._granted(outcome, Person(int(outcome.sign_in.sub.removeprefix("00u"))), None)

    async def exchange_token(self, subject_token: str, *, audience: str, **_: Any) -> TokenResult:
        await self._pause()
        self.exchanges.append(audience)
        await self._pause()
        return Granted(TokenResponse(f"for-{audience}-{len(self.exchanges)}", 3600))

    async def userinfo(self, access_token: str, **_: Any) -> Mapping[str, Any]:
        raise AssertionError("the ID token tells everything that is wanted")

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, **_: Any) -> RevocationResult:
        await self._pause()
        self.families.revoke_refresh_token(token, CLIENT_ID)
        return Revoked()

    async def close(self) -> None:
        pass

    def replace_client_auth(self, client_auth: Any) -> None:
        pass

    def _granted(self, issued: Issued, person: Person, nonce: str | None) -> Granted:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": CLIENT_ID, "sub": person.sub, "email": person.email, "sid": issued.sign_in.sid}
        claims |= {"iat": now, "exp": now + 3600} | ({"nonce": nonce} if nonce else {})
        return Granted(
            TokenResponse(
                access_token=issued.access_token,
                expires_in=self.lifetime,
                refresh_token=issued.refresh_token,
                id_token=KEY.sign(claims),
                scope="openid email offline_access",
            )
        )

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._slow))
