"""What a flow may ask of the OpenID provider. `bff.provider.client` answers over the network."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bff.oidc.jwks import KeySet
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pushed_authorization import PushResult
from bff.oidc.token import RevocationResult, TokenResult, TokenTypeHint


class OpenIDProvider(Protocol):
    async def metadata(self) -> ProviderMetadata:
        """The discovery document, cached. Raises ProviderUnavailable when there is none, not even an old one."""
        ...

    async def keys(self, kid: str | None = None) -> KeySet:
        """The signing keys. A `kid` the cache lacks causes at most one throttled fetch. Raises ProviderUnavailable."""
        ...

    async def push(self, parameters: Mapping[str, str]) -> PushResult:
        """Pushes an authorization request (RFC 9126); never raises."""
        ...

    async def exchange_code(
        self, code: str, *, redirect_uri: str, code_verifier: str, dpop_key: str | None = None
    ) -> TokenResult:
        """Redeems an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5); never raises.

        With a `dpop_key` the tokens are to be bound to it (RFC 9449 section 5).
        """
        ...

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
    ) -> TokenResult:
        """Presents a refresh token (RFC 6749 section 6); answers within `timeout` seconds, whatever happens.

        `may_send` is asked right before the first byte of the request leaves (connecting may have taken a while, the
        process may have been paused); when it says no, nothing leaves and the answer is NoAnswer(False).
        """
        ...

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> Mapping[str, Any]:
        """The UserInfo claims (OIDC Core section 5.3). Raises ProviderUnavailable. The caller compares `sub`."""
        ...

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, *, within: float) -> RevocationResult:
        """Revokes a token (RFC 7009); answers within `within` seconds and never raises."""
        ...
