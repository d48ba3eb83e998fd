"""The upstream credentials of a request: opens the session cookie, and refreshes the access token when it is due."""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Scope

from bff.config.api_tokens import ApiToken
from bff.config.routes import Route
from bff.errors import DeviceBindingRequired, SignInRequired
from bff.flows.api_tokens.api_access import ApiAccess
from bff.flows.api_tokens.flow import ApiTokens
from bff.flows.identity_assertions import IdentityAssertions
from bff.flows.refresh.flow import RefreshTokenFlow, SessionAt
from bff.flows.streams import OpenStreams
from bff.oidc.dpop import dpop_proof
from bff.proxy.credentials import CloseStream, Unregister, UpstreamCredentials
from bff.session.access_rules import AccessRules
from bff.session.session_view import SessionView
from bff.session.timing import token_fingerprint
from bff.web.access import check_access
from bff.web.api import is_background
from bff.web.browser_id import browser_id_hash
from bff.web.cookies import Header
from bff.web.request_authentication import RequestAuthentication


@dataclass(frozen=True, slots=True)
class UpstreamTokens:
    """What all credentials have in common.

    `scopes` are those that sign-ins request: a provider that grants exactly these may omit `scope` (RFC 6749 section
    5.1).
    """

    scopes: frozenset[str]
    assertions: IdentityAssertions
    api_tokens: ApiTokens


class SessionCredentials:
    """Implements `GetCredentials` of the API endpoint. One per application."""

    def __init__(
        self,
        flow: RefreshTokenFlow,
        streams: OpenStreams,
        authentication: RequestAuthentication,
        tokens: UpstreamTokens,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: seconds since the epoch, for DPoP proofs and the age of an authentication."""
        self._flow, self._cookies, self._clock = flow, authentication.cookies, clock
        self._device = authentication.device
        self.streams, self.tokens = streams, tokens

    async def __call__(self, scope: Scope) -> UpstreamCredentials:
        return _RequestCredentials(self, await self._session_at(scope))

    async def session(self, scope: Scope) -> SessionView:
        """The live session of a request, with an access token that is good now. Raises as `GetCredentials`."""
        return (await self._session_at(scope)).session

    async def _session_at(self, scope: Scope) -> SessionAt:
        try:
            key = self._cookies.require(scope["headers"]).session_id.key
        except SignInRequired as required:
            # Another tab signed out and took the cookie along.
            browser = browser_id_hash(scope["headers"], self._cookies.names)
            if required.reason is None and browser is not None:
                ended = await self._flow.last_end_reason(browser)
                required.reason = None if ended is None else ended.value
            raise
        check = None if self._device is None else partial(self._device.check, scope["headers"])
        return await self._flow.session_at(key, passive=is_background(scope), check=check)

    def require_device(self, session: SessionView, headers: Sequence[Header]) -> None:
        """Raises DeviceBindingRequired for a request that does not prove that it comes from the session's device."""
        if self._device is None:
            raise DeviceBindingRequired("sign_in")
        self._device.require(session, headers)

    async def renew(self, session: SessionView) -> SessionAt:
        """The session with a newer access token than this one's, which an upstream rejected, or with the same one.

        It is no activity: the request of the session has been counted already.
        """
        rejected_token = token_fingerprint(session.tokens.access_token)
        return await self._flow.session_at(session.key, rejected_token=rejected_token, passive=True)

    async def read(self, session: SessionView) -> SessionAt:
        """The session as it is now."""
        return await self._flow.session_at(session.key, passive=True)

    def check_access(self, session: SessionView, route: Route) -> None:
        """Raises ForbiddenByRule."""
        if route.access_rules is not None:
            self.check_rules(session, route.access_rules, place=route.prefix)

    def check_rules(self, session: SessionView, rules: AccessRules, *, place: str) -> None:
        """Raises ForbiddenByRule. `place` as in `check_access`."""
        check_access(rules, session, self._clock(), place=place)

    def dpop_proof(self, access: ApiAccess, method: str, url: str, nonce: str | None) -> str:
        """Raises ValueError for a bearer token."""
        if access.dpop_key is None:
            raise ValueError("the access token is not DPoP-bound")
        return dpop_proof(
            access.dpop_key,
            method=method,
            url=url,
            now=self._clock(),
            jti=secrets.token_urlsafe(16),
            access_token=access.access_token,
            nonce=nonce,
        )


class _RequestCredentials:
    """Those of one request; `session` as it was read or refreshed for it."""

    __slots__ = ("_access", "_api_token", "_at", "_route", "_session", "_source")

    def __init__(self, source: SessionCredentials, at: SessionAt) -> None:
        self._source, self._at, self._session = source, at, at.session
        self._route: Route | None = None  # for which the request is authorized
        self._api_token: ApiToken | None = None
        self._access: ApiAccess | None = None  # the requested access token

    @property
    def access_token(self) -> str:
        return self._session.tokens.access_token if self._access is None else self._access.access_token

    async def request_token(self, token: ApiToken) -> None:
        self._access = await self._source.tokens.api_tokens.access(self._at, token)
        self._api_token = token

    @property
    def scopes(self) -> Collection[str]:
        return self._session.tokens.scope.split() or self._source.tokens.scopes

    def authorize(self, route: Route) -> None:
        self._source.check_access(self._session, route)
        self._route = route

    def require_device(self, headers: Sequence[Header]) -> None:
        self._source.require_device(self._session, headers)

    def claim(self, name: str) -> Any:
        return self._session.claim(name)

    @property
    def dpop_bound(self) -> bool:
        return (self._session if self._access is None else self._access).dpop_key is not None

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        session = self._session
        access = self._access or ApiAccess(session.tokens.access_token, session.dpop_key)
        return self._source.dpop_proof(access, method, url, nonce)

    def assertion(self, route: Route) -> str:
        assert route.identity is not None
        return self._source.tokens.assertions.assertion(self._session, route.identity, route.prefix)

    async def renew(self) -> bool:
        rejected = self.access_token
        token, source = self._api_token, self._source
        # A requested token was rejected: the session's own is as good as it was.
        self._at = await (source.renew(self._session) if token is None else source.read(self._session))
        self._session = self._at.session
        if self._route is not None:
            self._source.check_access(self._session, self._route)
        if token is not None:
            self._access = await source.tokens.api_tokens.access(self._at, token, rejected=rejected)
        return self.access_token != rejected

    def register_stream(self, close: CloseStream, *, endless: bool, with_token: bool) -> Unregister:
        requested = None if self._access is None else self._access.usable_until
        until = self._session.tokens.usable_until if requested is None else requested
        token_until = until if with_token else None
        return self._source.streams.register(self._session, close, endless=endless, token_until=token_until)
