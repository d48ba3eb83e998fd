"""`/auth/device-binding/*`: where a browser registers the key of a session, and renews its bound cookie (DBSC).

The browser calls both by itself, without Origin, Sec-Fetch-* or a body, so the CSRF rule of other endpoints does not
apply: the signature is the proof. A browser drops the key of a session silently at almost any error, so a session that
is alive gets one of three answers at a refresh:

| status | when | the browser |
|---|---|---|
| 200 | the proof is right | has a new cookie, and the next challenge |
| 403 with a challenge | there is no proof, it is wrong, or its challenge is not valid any more | signs the challenge |
| 503 without a challenge | the proof cannot be verified now | sends its requests without the cookie, and comes again |

One that has ended is answered with 401, which ends the binding in the browser too, and so is one whose session cookie
the browser has no more. Neither route has a rate limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from bff.config.browser import DEVICE_REFRESH, DEVICE_REGISTRATION
from bff.errors import DeviceBindingPending, DeviceBindingRefused, SignInRequired, StoreUnavailable
from bff.flows.device_bindings import BindingRefused, DeviceBindings
from bff.oidc.dbsc_proof import ALGORITHMS
from bff.session.session import Session, SessionKey, public_id
from bff.session.session_view import SessionView
from bff.session.store import Found, KeyRemoved, Viewed
from bff.telemetry import metrics
from bff.web.auth.current_session import CurrentSessions
from bff.web.bound_cookies import BoundCookies
from bff.web.cookies import Header
from bff.web.error_responder import ErrorResponder
from bff.web.responses import json_response
from bff.web.route_description import described
from bff.web.session_cookies import Anonymous, SessionCookies, SignedIn
from bff.web.session_cookies import KeyRemoved as CookieKeyRemoved

_RESPONSE: Final = "secure-session-response"
_SESSION_ID: Final = "sec-secure-session-id"
_CHALLENGE: Final = b"secure-session-challenge"


@dataclass(frozen=True, slots=True)
class DeviceOffers:
    """Asks browsers to register a key."""

    bindings: DeviceBindings

    def header(self, stored: Viewed) -> Header | None:
        """None for a session that is bound already. Raises KeyExhausted."""
        offer = self.bindings.offer(stored.view, stored.now)
        if offer is None:
            return None
        value = (
            f'({" ".join(ALGORITHMS)});path="{DEVICE_REGISTRATION}"'
            f';challenge="{offer.challenge}";authorization="{offer.authorization}"'
        )
        return b"secure-session-registration", value.encode("ascii")


@dataclass(frozen=True, slots=True)
class DeviceBindingEndpoint:
    sessions: CurrentSessions
    bindings: DeviceBindings
    cookies: SessionCookies
    bound_cookies: BoundCookies
    errors: ErrorResponder

    async def register(self, request: Request) -> Response:
        """Binds the session of the request to the key of its proof.

        Raises SignInRequired, DeviceBindingRefused, StoreUnavailable; an error binds nothing.
        """
        signed_in = self.cookies.require(request.scope["headers"])
        stored = await self.sessions.require(signed_in.session_id.key)
        try:
            session = await self.bindings.register(stored, _proof(request))
        except BindingRefused as refused:
            self.bindings.record_refusal(refused.problem, stored)
            raise DeviceBindingRefused(refused.problem.value) from None
        return self._bound(session, stored.now)

    async def refresh(self, request: Request) -> Response:
        """Renews the bound cookie.

        Raises SignInRequired for a session that has ended or whose cookie the browser has lost, and never for another
        reason.
        """
        stored = await self._session(request)
        session = stored.session
        binding = session.device_binding
        if binding is None:
            # A failover of the store has lost the registration. The session is alive, so the browser must not drop its
            # key before a new one is registered.
            raise DeviceBindingPending(retry_after=1)
        proof = _proof(request)
        if not proof:
            metrics.DEVICE_BINDING.labels(outcome="refused", reason="no_proof").inc()
            return self._challenge(request, stored)
        try:
            await self.bindings.refresh(stored, binding, proof)
        except BindingRefused as refused:
            self.bindings.record_refusal(refused.problem, stored)
            return self._challenge(request, stored)
        return self._bound(session, stored.now)

    async def _session(self, request: Request) -> Found:
        """The session that the browser names, if it still has the cookie of that session.

        A browser keeps the key when it loses the session cookie: at its exit, when a user deletes cookies, or at the
        next sign-in. Such a session cannot be used any more, and two bindings would overwrite each other's bound
        cookie. A refresh always carries the session cookie of a browser that has it: the bound cookie is Strict, so no
        request that another site has started needs a refresh.

        Raises SignInRequired if the session has ended or its cookie is missing or that of another session, and
        DeviceBindingPending if that is unknown.
        """
        named, cookie = request.headers.get(_SESSION_ID, "").strip('"'), self.cookies.read(request.scope["headers"])
        if isinstance(cookie, SignedIn) and named in ("", public_id(cookie.session_id.key)):
            return await self._live(cookie.session_id.key)
        if isinstance(cookie, SignedIn | Anonymous):
            raise SignInRequired
        # The cookie came twice, or its key is unknown here: the name says whether it can be that of a live session.
        for session in await self.sessions.store.find("id", named[:8]) if named else ():
            if session.public_id == named:
                return await self._live(session.key)
        if isinstance(cookie, CookieKeyRemoved):
            raise DeviceBindingPending(retry_after=5)  # another replica may have the key
        raise SignInRequired

    async def _live(self, key: SessionKey) -> Found:
        stored = await self.sessions.read(key)
        if isinstance(stored, KeyRemoved):
            raise DeviceBindingPending(retry_after=5)
        if not isinstance(stored, Found):
            if (ended := await self.sessions.refresh.end_reason(key, stored)) is None:
                # The store has lost the record, and may recover it: the key stays in the browser, as the cookie does.
                raise DeviceBindingPending(retry_after=5)
            raise SignInRequired(reason=ended.value)
        if (reason := await self.sessions.end_if_over(stored)) is not None:
            raise SignInRequired(reason=reason.value)
        return stored

    def _challenge(self, request: Request, stored: Found) -> Response:
        response = self.errors.respond(DeviceBindingRefused(), request)
        response.raw_headers.append(self._next_challenge(stored.view, stored.now))
        return response

    def _bound(self, session: Session, now: float) -> Response:
        binding = session.device_binding
        assert binding is not None
        cookie = self.bound_cookies.seal(session.key, binding.thumbprint)
        return json_response(self._instructions(session), [cookie], [self._next_challenge(session, now)])

    def _next_challenge(self, session: SessionView, now: float) -> Header:
        challenge = self.bindings.next_challenge(session, now)
        return _CHALLENGE, f'"{challenge}";id="{session.public_id}"'.encode("ascii")

    def _instructions(self, session: Session) -> Mapping[str, Any]:
        credential = {"type": "cookie", "name": self.bound_cookies.name, "attributes": self.bound_cookies.attributes}
        return {
            "session_identifier": session.public_id,
            "refresh_url": DEVICE_REFRESH,
            "scope": {"include_site": False},
            "credentials": [credential],
        }


def _proof(request: Request) -> str:
    """A structured field of one string; Chromium sends the proof without quotes."""
    values = request.headers.getlist(_RESPONSE)
    return values[0].partition(";")[0].strip().strip('"') if len(values) == 1 else ""


def device_binding_router(endpoint: DeviceBindingEndpoint) -> APIRouter:
    router = APIRouter()

    @router.post(
        DEVICE_REGISTRATION,
        **described(
            "Binds the session to a key of the browser (called by the browser itself)",
            returns=("SessionInstructions",),
            errors=(SignInRequired, DeviceBindingRefused, StoreUnavailable),
            with_session=True,
        ),
    )
    async def register_device(request: Request) -> Response:
        return await endpoint.register(request)

    @router.post(
        DEVICE_REFRESH,
        **described(
            "Renews the bound cookie (called by the browser itself)",
            returns=("SessionInstructions",),
            errors=(SignInRequired, DeviceBindingRefused, DeviceBindingPending, StoreUnavailable),
        ),
    )
    async def refresh_bound_cookie(request: Request) -> Response:
        return await endpoint.refresh(request)

    return router
