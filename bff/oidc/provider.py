"""The port to the OpenID Provider. `bff.provider.client` implements it over HTTP."""

from collections.abc import Callable, Collection
from typing import Protocol

from bff.oidc.form_fields import FormFields
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.pushed_authorization import PushResult
from bff.oidc.token import RevocationResult, TokenResult, TokenTypeHint
from bff.oidc.userinfo import UserInfo


class TokenIssuer(Protocol):
    """The token endpoint of an authorization server, as far as it issues access tokens for APIs."""

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
        """An access token for another audience (RFC 8693); within `timeout` seconds and `may_send` as in `refresh`."""
        ...

    async def client_token(
        self, scopes: Collection[str], *, audience: str | None = None, dpop_key: str | None = None
    ) -> TokenResult:
        """An access token of this client itself, without a user (RFC 6749 section 4.4); never raises."""
        ...


class OpenIDProvider(Protocol):
    async def metadata(self) -> ProviderMetadata:
        """The discovery document, cached. Raises ProviderUnavailable when none has ever been fetched."""
        ...

    async def refetch_metadata(self) -> ProviderMetadata:
        """The discovery document, fetched now.

        Raises ProviderUnavailable if it cannot be read, names another issuer, or was fetched a moment ago.
        """
        ...

    async def keys(self, kid: str | None = None) -> KeySet:
        """The signing keys. An unknown `kid` causes at most one fetch, rate-limited. Raises ProviderUnavailable."""
        ...

    async def push(self, parameters: FormFields) -> PushResult:
        """Pushes an authorization request (RFC 9126); never raises."""
        ...

    async def exchange_code(
        self, code: str, *, redirect_uri: str, code_verifier: str, dpop_key: str | None = None
    ) -> TokenResult:
        """Redeems an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5); never raises.

        With a `dpop_key` the tokens are bound to it (RFC 9449 section 5).
        """
        ...

    async def refresh(
        self,
        refresh_token: str,
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
        dpop_key: str | None = None,
        resource: str | None = None,
    ) -> TokenResult:
        """Sends a refresh token (RFC 6749 section 6); returns within `timeout` seconds in any case.

        With a `resource` the access token is for that resource (RFC 8707), and no other one.

        `may_send` is called right before the first byte of the request is written (connecting may have taken a while,
        the process may have been paused); if it returns False, nothing is written and the result is NoAnswer(False).
        """
        ...

    async def userinfo(self, access_token: str, *, dpop_key: str | None = None) -> UserInfo:
        """The UserInfo response (OIDC Core section 5.3). Raises ProviderUnavailable.

        The caller verifies a signed one, and must compare `sub`.
        """
        ...

    async def revoke(self, token: str, token_type_hint: TokenTypeHint, *, within: float) -> RevocationResult:
        """Revokes a token (RFC 7009); returns within `within` seconds and never raises."""
        ...
