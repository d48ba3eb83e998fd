"""The composition root: builds every component, connects them, and opens and closes them with the ASGI lifespan."""

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from bff import from_settings
from bff.asgi.write_batching import WriteBatch
from bff.config.reload import CREDENTIALS, SettingsReload, Sources
from bff.config.settings import Settings
from bff.errors import BffError, ProviderUnavailable
from bff.flows.authorization_request import AuthorizationRequests
from bff.flows.background import BackgroundTasks
from bff.flows.build_session import BuildSession
from bff.flows.establish_session import EstablishSession
from bff.flows.eviction_watch import EvictionWatch
from bff.flows.id_tokens import IdTokenValidator
from bff.flows.key_ring_sync import KeyRingSync
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import EndSessions
from bff.flows.logout.markers import LogoutMarkers
from bff.flows.logout.provider_logout import ProviderLogoutFlow
from bff.flows.logout.provider_sign_out import ProviderSignOut
from bff.flows.logout.revocations import Revocations
from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.reservation import Reservations
from bff.flows.refresh.timing import RefreshTiming
from bff.flows.sign_in import AuthorizationCodeFlow
from bff.flows.streams import OpenStreams
from bff.oidc.metadata import MetadataRefused, endpoints_elsewhere
from bff.proxy.client_address import TrustedProxies
from bff.proxy.headers import PublicOrigin
from bff.proxy.http import HttpProxy
from bff.proxy.pool import UpstreamPools
from bff.proxy.websocket import WebSocketProxy
from bff.session.keyring import KeyRing
from bff.storage.open import open_store
from bff.telemetry import audit
from bff.telemetry.application import ApplicationTelemetry, open_tracer
from bff.telemetry.audit import AuditEvent
from bff.web.api import ApiEndpoint, Upstreams
from bff.web.auth.callback import Callback, callback_router
from bff.web.auth.current_session import CurrentSessions
from bff.web.auth.forward_auth import VERIFY, ForwardAuth
from bff.web.auth.landing import landing_router
from bff.web.auth.login import SignInStart, login_router
from bff.web.auth.login_hint import LoginHints
from bff.web.auth.logout import LogoutEndpoint, logout_router
from bff.web.auth.pending_sign_ins import PendingSignIns
from bff.web.auth.provider_logout import ProviderLogout, provider_logout_router
from bff.web.auth.session import SessionEndpoint, session_router
from bff.web.auth.sessions import SessionsEndpoint, sessions_router
from bff.web.auth.sign_out_cookie import SignOutCookie
from bff.web.cookies import CookieNames
from bff.web.dispatch import Dispatcher, build_auth_app, serve_spa
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder
from bff.web.health import ManagementApp
from bff.web.middleware.cors import CorsMiddleware
from bff.web.middleware.draining import Draining
from bff.web.middleware.rate_limit import RateLimitMiddleware, RateLimits
from bff.web.middleware.request_guard import RequestGuard
from bff.web.middleware.trace import AuditContext, TraceMiddleware
from bff.web.origin_policy import OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials

logger = logging.getLogger(__name__)

PURGE_INTERVAL = 300.0  # seconds


class Application:
    """The ASGI application.

    `management` and `forward_auth` are separate ASGI applications for ports that must not be public.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, sources: Sources | None = None
    ) -> None:
        """Opens the SQLite database if one is configured.

        Raises ConfigurationError for problems that only wiring reveals.
        """
        self._reload = None if sources is None else SettingsReload(settings, sources, self._take_over)
        self._settings, self._clock = settings, clock
        self._telemetry = ApplicationTelemetry(
            settings.telemetry.audit_subject, open_tracer(settings.telemetry.tracing)
        )
        self._tasks = BackgroundTasks()
        self._ring = KeyRing.from_keys(settings.session.key_ring)
        own_clock = {"clock": clock} if clock is not time.time and settings.store.is_sqlite else {}
        self._store = open_store(settings.store.url, self._ring, **own_clock)
        # A SQLite database has one process, so there is no other replica to compare keys with.
        self._key_ring_sync = None if settings.store.is_sqlite else KeyRingSync(self._store, self._ring)
        self._eviction = EvictionWatch(self._store, allowed=settings.store.allow_evicting)
        self._provider = from_settings.provider(settings, clock)
        self._org_provider = from_settings.org_provider(settings, clock)
        self._routes = from_settings.route_table(settings)
        origin, trusted = (
            PublicOrigin.parse(settings.browser.public_url),
            TrustedProxies(settings.server.trusted_proxies),
        )
        self.write_batch = WriteBatch()
        self._proxy = HttpProxy(origin, trusted, UpstreamPools(self.write_batch))
        self._sockets = WebSocketProxy(origin, trusted)
        self._names = CookieNames(secure=settings.browser.cookies_secure)
        self._policy = from_settings.policy(settings)
        self.management: ASGIApp = ManagementApp(self._checks)
        self._asgi = Draining(self._wire())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._asgi(scope, receive, send)

    def reload(self) -> None:
        """Reloads session keys and client secrets (SIGHUP). Logs any problem and then changes nothing."""
        if self._reload is not None:
            self._reload.reload()

    def _take_over(self, settings: Settings, changed: frozenset[str]) -> None:
        client_auth = from_settings.client_auth(settings)
        self._ring.replace_keys(settings.session.key_ring)
        for provider in (self._provider, *self._org_provider):
            provider.replace_client_auth(client_auth)
        if "session_keys" in changed:
            audit.record(AuditEvent.KEY_RING_CHANGED, "reload", key_ids=" ".join(self._ring.key_ids))
        if credentials := sorted(changed & CREDENTIALS):
            audit.record(AuditEvent.CLIENT_CREDENTIALS_CHANGED, "reload", changed=" ".join(credentials))

    def _wire(self) -> ASGIApp:
        settings, names, ring, policy = self._settings, self._names, self._ring, self._policy
        self._streams = OpenStreams(self._store, policy)
        self._revocations = Revocations(self._store, self._provider, self._tasks, settings.provider.issuer)
        self._end_session = end_session = EndSession(self._store, self._revocations, self._tasks, streams=self._streams)
        logout_markers = LogoutMarkers(self._store, settings.sign_in.login_lifetime)
        end_sessions = EndSessions(self._store, end_session, logout_markers, self._tasks, settings.provider.issuer)
        id_tokens = IdTokenValidator(self._provider, from_settings.id_token_rules(settings))
        timing = RefreshTiming(policy)
        attempts = RefreshAttempts(
            Reservations(self._store, timing),
            self._provider,
            RefreshOutcomes(self._store, id_tokens, end_session, timing),
            timing,
            concurrency=settings.refresh.concurrency,
        )
        self._refresh = refresh = RefreshTokenFlow(self._store, attempts, end_session, self._tasks, timing)
        cookies = SessionCookies(ring, names)
        errors = ErrorResponder(ErrorPages(settings.browser.landing_path, settings.browser.page_style()))
        problems = ErrorResponder()  # without pages
        sign_in_rules = from_settings.sign_in_rules(settings)
        sign_in = AuthorizationCodeFlow(
            self._store,
            self._provider,
            BuildSession(self._store, self._provider, id_tokens, sign_in_rules, clock=self._clock),
            EstablishSession(self._store, end_session, logout_markers, self._streams),
            sign_in_rules,
        )
        requests = AuthorizationRequests(self._store, self._provider, ring, sign_in_rules, clock=self._clock)
        login_rules = from_settings.login_rules(settings)
        pending = PendingSignIns(
            ring, names, self._clock, lifetime=login_rules.login_lifetime, form_post=login_rules.form_post
        )
        start = SignInStart(requests, pending, LoginHints(ring, self._clock), errors, login_rules)
        auth_app = build_auth_app(errors)
        auth_app.include_router(login_router(start))
        auth_app.include_router(landing_router(start.rules, self._routes.carries_credentials))
        proxies = TrustedProxies(settings.server.trusted_proxies)
        callback = Callback(sign_in, start, self._store, cookies, proxies)
        auth_app.include_router(callback_router(settings.browser.callback_path, callback))
        origins = OriginPolicy(settings.browser.public_url, settings.browser.allowed_origins)
        authentication = RequestAuthentication(origins, cookies)
        sessions = CurrentSessions(self._store, refresh, end_session, policy)
        session = SessionEndpoint(sessions, authentication, names)
        auth_app.include_router(session_router(session))
        at_provider = ProviderSignOut(self._store, self._provider, from_settings.sign_out_rules(settings))
        logout = LogoutEndpoint(end_session, at_provider, authentication, SignOutCookie(ring, names), settings.browser)
        auth_app.include_router(logout_router(logout))
        listed = SessionsEndpoint(sessions, end_sessions, authentication)
        auth_app.include_router(sessions_router(listed))
        provider_logout = ProviderLogoutFlow(
            self._store,
            (self._provider, *self._org_provider),
            end_sessions,
            from_settings.logout_rules(settings),
            clock=self._clock,
        )
        auth_app.include_router(provider_logout_router(ProviderLogout(provider_logout)))
        serve_spa(auth_app, settings.spa.dir)
        api = ApiEndpoint(
            Upstreams(self._routes, self._proxy, self._sockets, self._streams),
            SessionCredentials(refresh, self._streams, cookies, scopes=settings.provider.scopes, clock=self._clock),
            origins=origins,
            errors=problems,
            acr_values=settings.sign_in.acr_values,
        )
        verify = ForwardAuth(refresh, authentication, proxies, errors, from_settings.forward_auth_rules(settings))
        on_private_port = RequestGuard(verify.on_private_port, problems)
        self.forward_auth = TraceMiddleware(on_private_port, proxies, self._telemetry)
        plain = {VERIFY: verify.on_public_port}
        limits = RateLimits(from_settings.limit_rules(settings))
        limited = RateLimitMiddleware(auth_app, limits, proxies, cookies, errors)
        inside: ASGIApp = AuditContext(
            Dispatcher(limited, api, self._routes.match, settings.browser.callback_path, plain), proxies
        )
        if origins.allows_other_origins:
            inside = CorsMiddleware(inside, self._routes, origins)
        guarded = RequestGuard(inside, errors, names=names)
        return TraceMiddleware(guarded, proxies, self._telemetry)

    def begin_to_stop(self) -> None:
        """Reports not ready from now on and answers with `Connection: close`, so that proxies use another replica."""
        self._asgi.begun = True

    def end_streams(self) -> None:
        """Closes event streams and WebSockets, which would otherwise outlast the drain.

        Call it once no new connection is accepted.
        """
        self._streams.close_for_shutdown()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._telemetry.bind()  # the background tasks inherit it
        try:
            await self._start()
        except BffError as error:
            await self._stop_tracer()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await self._stop_tracer()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        """An unavailable provider or store only degrades readiness; one that contradicts the
        settings stops the start.
        """
        await self._eviction.check()
        try:
            metadata = await self._provider.metadata()
            from_settings.validate_metadata(self._settings, metadata)
            if elsewhere := endpoints_elsewhere(metadata):
                endpoints = ", ".join(f"{name} at {host}" for name, host in elsewhere.items())
                logger.info(
                    "endpoints of the provider are on another host than its issuer", extra={"endpoints": endpoints}
                )
        except MetadataRefused:
            raise
        except ProviderUnavailable as error:
            logger.warning("the provider is not reachable yet", extra={"error": error.code})
        loop = asyncio.get_running_loop()
        self._standing = [
            loop.create_task(self._purge(), name="purge"),
            loop.create_task(self._refresh.run_early_refreshes(), name="refresh early"),
            loop.create_task(self._revocations.run(), name="revoke what waits"),
            loop.create_task(self._eviction.watch(), name="watch the store's eviction policy"),
            *(
                [loop.create_task(self._key_ring_sync.announce(), name="publish the newest key id")]
                if self._key_ring_sync
                else []
            ),
            *([loop.create_task(self._reload.watch(), name="watch the secret files")] if self._reload else []),
            loop.create_task(self._streams.watch(self._end_session.end), name="watch open streams"),
        ]

    async def _stop(self) -> None:
        for task in self._standing:
            task.cancel()
        # A running refresh is awaited: cancelling it would leave an unknown outcome for other replicas to resolve.
        late = await self._tasks.drain(self._policy.timeout + 2)
        if late:
            logger.warning("tasks were cancelled at shutdown", extra={"count": late})
        self._proxy.close()
        for provider in (self._provider, *self._org_provider):
            await provider.close()
        await self._store.close()

    async def _stop_tracer(self) -> None:
        if self._telemetry.tracer is not None:
            await asyncio.to_thread(self._telemetry.tracer.stop)

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(PURGE_INTERVAL)
            try:
                await self._store.purge_expired()
            except BffError as error:
                logger.warning("expired records could not be purged", extra={"error": error.code})

    async def _checks(self) -> dict[str, bool]:
        self._telemetry.bind()
        checks = {"serving": not self._asgi.begun, "store": True, "provider": True}
        try:
            await self._store.ping()
            if self._key_ring_sync is not None:
                checks["key_ring_in_sync"] = await self._key_ring_sync.in_sync()
        except BffError:
            checks["store"] = False
        try:
            await self._provider.metadata()
        except BffError:
            checks["provider"] = False
        return checks


def build_app(
    settings: Settings, *, clock: Callable[[], float] = time.time, sources: Sources | None = None
) -> Application:
    """Builds everything that `bff serve` runs, from settings alone.

    `clock` is the wall clock, in seconds since the epoch. `sources` is where the settings were read from, so that keys
    and secrets can be reloaded. Raises ConfigurationError.
    """
    return Application(settings, clock, sources)
