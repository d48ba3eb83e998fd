"""An OpenIDProvider in memory that gives the answers a test queued, and records what it was asked for."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySet, parse_key_set
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pushed_authorization import Pushed, PushResult
from bff.oidc.token import (
    Granted,
    NoAnswer,
    RevocationResult,
    Revoked,
    TokenResponse,
    TokenResult,
    TokenTypeHint,
)
from bff.oidc.userinfo import UserInfo
from tests.harness.minting import ISSUER, RSA_KEY, jwk, jwks


class ScriptedProvider:
    """Without a queued answer it grants `access-1` and `refresh-1`, `access-2` and so on, and revokes."""

    def __init__(self) -> None:
        self.delay = self.keys_delay = 0.0
        self.down = self.metadata_down = False
        self.answers: list[TokenResult] = []
        self.exchange_answers: list[TokenResult] = []
        self.revocation_answers: list[RevocationResult] = []
        self.push_answers: list[PushResult] = []
        self.refreshed: list[str] = []
        self.resources: list[str | None] = []  # of each refresh
        self.token_requests: list[tuple[str, str]] = []  # subject token and audience of each exchange
        self.own_requests: list[tuple[str, ...]] = []  # scopes of each client credentials request
        self.revoked: list[str] = []
        self.pushed: list[Mapping[str, str]] = []
        self.exchanged: list[str] = []
        self.claims: UserInfo = {}
        self.key_sets: list[KeySet] = [parse_key_set(jwks(jwk(RSA_KEY)))]
        self.running, self.most_running, self.metadata_fetches = 0, 0, 0
        self.document = ProviderMetadata(
            issuer=ISSUER,
            authorization_endpoint=f"{ISSUER}/v1/authorize",
            token_endpoint=f"{ISSUER}/v1/token",
            jwks_uri=f"{ISSUER}/v1/keys",
            end_session_endpoint=f"{ISSUER}/v1/logout",
        )

    async def metadata(self) -> ProviderMetadata:
        if self.down:
            raise ProviderUnavailable
        return self.document

    async def refetch_metadata(self) -> ProviderMetadata:
        self.metadata_fetches += 1
        if self.down or self.metadata_down or self.document.issuer != ISSUER:
            raise ProviderUnavailable("it could not be fetched")
        return self.document

    async def keys(self, kid: str | None = None) -> KeySet:
        if self.down:
            raise ProviderUnavailable
        await asyncio.sleep(self.keys_delay)
        if kid is not None and len(self.key_sets) > 1:
            del self.key_sets[0]
        return self.key_sets[0]

    async def push(self, parameters: Mapping[str, str]) -> PushResult:
        self.pushed.append(parameters)
        return self.push_answers.pop(0) if self.push_answers else Pushed("urn:request:1", 60)

    async def exchange_code(
        self, code: str, *, redirect_uri: str, code_verifier: str, dpop_key: str | None = None
    ) -> TokenResult:
        self.exchanged.append(code)
        return await self._answer()

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
        resource: str | None = None,
    ) -> TokenResult:
        if not may_send():
            return NoAnswer(may_have_been_sent=False)
        self.refreshed.append(refresh_token)
        self.resources.append(resource)
        try:
            async with asyncio.timeout(timeout):
                return await self._answer()
        except TimeoutError:
            return NoAnswer(may_have_been_sent=True)

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
        if not may_send():
            return NoAnswer(may_have_been_sent=False)
        self.token_requests.append((subject_token, audience))
        granted = Granted(TokenResponse(f"for-{audience}-{len(self.token_requests)}", 600))
        await asyncio.sleep(self.delay)
        return self.exchange_answers.pop(0) if self.exchange_answers else granted

    async def client_token(
        self, scopes: Collection[str], *, audience: str | None = None, dpop_key: str | None = None
    ) -> TokenResult:
        self.own_requests.append(tuple(scopes))
        granted = Granted(TokenResponse(f"own-{len(self.own_requests)}", 600))
        await asyncio.sleep(self.delay)
        return self.exchange_answers.pop(0) if self.exchange_answers else granted

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> UserInfo:
        if not self.claims:
            raise ProviderUnavailable
        return self.claims

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, *, within: float) -> RevocationResult:
        self.revoked.append(token)
        await asyncio.sleep(self.delay)
        return self.revocation_answers.pop(0) if self.revocation_answers else Revoked()

    async def _answer(self) -> TokenResult:
        number = len(self.refreshed) + len(self.exchanged)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.running -= 1
        granted = Granted(TokenResponse(f"access-{number}", 3600, f"refresh-{number}", None, "openid"))
        return self.answers.pop(0) if self.answers else granted
