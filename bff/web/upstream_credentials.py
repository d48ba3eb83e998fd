"""The upstream's access token for a request: opens the session cookie and refreshes the
session's token when it is due.
"""

import secrets
import time
from collections.abc import Callable, Collection
from functools import partial

from starlette.types import Scope

from bff.flows.refresh.single_flight import RefreshTokenFlow
from bff.flows.streams import OpenStreams
from bff.oidc.dpop import dpop_proof
from bff.proxy.dpop import MakeProof
from bff.proxy.exchange import Disconnect
from bff.session.session import Session, SessionKey
from bff.session.timing import token_fingerprint
from bff.web.api import Access, is_background
from bff.web.session_cookies import SessionCookies


class SessionCredentials:
    """Implements the API proxy's `GetCredentials`: opens the session cookie and refreshes the session's token when it
    is due. `scopes` are the scopes that sign-ins request: a provider that grants exactly these may omit `scope` (RFC
    6749 section 5.1).
    """

    def __init__(
        self,
        flow: RefreshTokenFlow,
        streams: OpenStreams,
        cookies: SessionCookies,
        *,
        scopes: Collection[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._flow, self._streams, self._cookies = flow, streams, cookies
        self._scopes, self._clock = frozenset(scopes), clock

    async def __call__(self, scope: Scope) -> Access:
        key = self._cookies.require(scope["headers"]).session_id.key
        session = await self._flow.session_with_fresh_token(key, passive=is_background(scope))
        return _LiveCredentials(self._flow, self._streams, key, session, self._scopes, self._clock)


class _LiveCredentials:
    __slots__ = ("_asked_scopes", "_clock", "_flow", "_key", "_session", "_streams")

    def __init__(
        self,
        flow: RefreshTokenFlow,
        streams: OpenStreams,
        key: SessionKey,
        session: Session,
        asked_scopes: frozenset[str],
        clock: Callable[[], float],
    ) -> None:
        self._flow, self._streams, self._key, self._session = flow, streams, key, session
        self._asked_scopes, self._clock = asked_scopes, clock

    @property
    def access_token(self) -> str:
        return self._session.tokens.access_token

    @property
    def scopes(self) -> Collection[str]:
        return self._session.tokens.scope.split() or self._asked_scopes

    @property
    def make_proof(self) -> MakeProof | None:
        key = self._session.dpop_key
        return None if key is None else partial(self._make_proof, key)

    def _make_proof(self, key: str, method: str, url: str, access_token: str, nonce: str | None) -> str:
        jti = secrets.token_urlsafe(16)
        return dpop_proof(
            key, method=method, url=url, now=self._clock(), jti=jti, access_token=access_token, nonce=nonce
        )

    async def renewed(self, refused_token: str) -> str:
        # This request has already been counted as activity.
        rejected_token = token_fingerprint(refused_token)
        self._session = await self._flow.session_with_fresh_token(
            self._key, rejected_token=rejected_token, passive=True
        )
        return self._session.tokens.access_token

    def register(self, interrupt: Disconnect, *, with_token: bool) -> Callable[[], None]:
        token_until = self._session.tokens.usable_until if with_token else None
        return self._streams.register(self._session, interrupt, token_until=token_until)
