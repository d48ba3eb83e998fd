"""The web layer: our own endpoints, the API proxy, forward-auth, and the middleware around them."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

from bff.asgi.write_batching import WriteBatch
from bff.components.device_binding import BoundSessions, build_device_binding
from bff.components.flows import Flows
from bff.components.runtime import Runtime
from bff.components.stores import Stores
from bff.config.browser import KEY_SET_PATH
from bff.config.settings import Settings
from bff.flows.security_events.receiver import SecurityEventReceiver
from bff.flows.streams import OpenStreams
from bff.oidc.published_keys import PublishedKeys
from bff.proxy.client_address import TrustedProxies
from bff.proxy.headers import PublicOrigin
from bff.proxy.http import HttpProxy
from bff.proxy.open_routes import route_table
from bff.proxy.pool import UpstreamPools
from bff.proxy.websocket import WebSocketProxy
from bff.web.api import ApiEndpoint, Upstreams
from bff.web.auth.callback import Callback, callback_router
from bff.web.auth.current_session import CurrentSessions
from bff.web.auth.device_binding import DeviceBindingEndpoint, device_binding_router
from bff.web.auth.forward_auth import VERIFY, ForwardAuth
from bff.web.auth.forward_auth_access import ForwardAuthAccess
from bff.web.auth.landing import landing_router
from bff.web.auth.login import SignInStart, login_router
from bff.web.auth.login_hint import LoginHints
from bff.web.auth.logout import LogoutEndpoint
from bff.web.auth.pending_sign_ins import PendingSignIns
from bff.web.auth.popup import popup_router
from bff.web.auth.provider_logout import ProviderLogout, provider_logout_router
from bff.web.auth.security_events import SecurityEventsEndpoint, security_events_router
from bff.web.auth.session import SessionEndpoint, session_router
from bff.web.auth.session_events import PATH as SESSION_EVENTS
from bff.web.auth.session_events import EventStreamLimits, SessionEvents
from bff.web.auth.sessions import SessionsEndpoint, sessions_router
from bff.web.auth.sign_out_cookie import SignOutCookie
from bff.web.auth.sign_out_form import SignOutForm, logout_router
from bff.web.cookies import CookieNames
from bff.web.dispatch import Dispatcher, OwnEndpoints, build_auth_app, serve_spa
from bff.web.error_page import ErrorPages
from bff.web.error_responder import ErrorResponder
from bff.web.host import HostRequests, HostRoutes, RequestRules
from bff.web.key_set import key_set_router
from bff.web.middleware.access_log import AccessLog
from bff.web.middleware.cors import CorsMiddleware
from bff.web.middleware.foreign_server import ForeignServer
from bff.web.middleware.rate_limit import RateLimitMiddleware, RateLimits
from bff.web.middleware.rate_memory import RateMemory
from bff.web.middleware.request_guard import RequestGuard
from bff.web.middleware.trace import AuditContext, TraceMiddleware
from bff.web.origin_policy import OriginPolicy
from bff.web.popup_page import PopupPage
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from bff.web.upstream_credentials import SessionCredentials, UpstreamTokens


@dataclass(frozen=True, slots=True)
class WebRules:
    """The rules that every endpoint shares, each of them one object."""

    names: CookieNames
    authentication: RequestAuthentication
    errors: ErrorResponder
    trusted_proxies: TrustedProxies
    device: BoundSessions


@dataclass(frozen=True, slots=True)
class WebApplications:
    """The ASGI applications of the public and of the forward-auth port. `endpoints`: the routes that FastAPI serves."""

    public: ASGIApp
    forward_auth: ASGIApp
    endpoints: FastAPI


def build_upstreams(runtime: Runtime, write_batch: WriteBatch, streams: OpenStreams) -> Upstreams:
    """Raises ConfigurationError for TLS files of a route that cannot be used."""
    settings = runtime.settings
    origin, trusted = PublicOrigin.parse(settings.browser.public_url), TrustedProxies(settings.server.trusted_proxies)
    http = HttpProxy(origin, trusted, UpstreamPools(write_batch))
    return Upstreams(route_table(settings), http, WebSocketProxy(origin, trusted), streams)


def build_web(
    runtime: Runtime,
    stores: Stores,
    flows: Flows,
    upstreams: Upstreams,
    receiver: SecurityEventReceiver | None,
    published: PublishedKeys,
) -> WebApplications:
    """`receiver` is None if security events are off; `published` has our public keys."""
    browser = runtime.settings.browser
    names = CookieNames(secure=browser.cookies_secure)
    origins = OriginPolicy(browser.public_url, browser.allowed_origins)
    cookies = SessionCookies(stores.ring, names, runtime.settings.store.cookie_cache)
    device = build_device_binding(runtime, stores, names)
    rules = WebRules(
        names=names,
        authentication=RequestAuthentication(origins, cookies, device.check),
        errors=ErrorResponder(ErrorPages(browser.landing_path, browser.page_style())),
        trusted_proxies=TrustedProxies(runtime.settings.server.trusted_proxies),
        device=device,
    )
    forward_auth = _forward_auth(runtime, flows, rules)
    without_pages = ErrorResponder()
    foreign = ForeignServer(browser.callback_path)
    private: ASGIApp = RequestGuard(forward_auth.on_private_port, without_pages, foreign=foreign)
    auth_app = _auth_app(runtime, stores, flows, rules, upstreams, receiver)
    if runtime.settings.publishes_keys:
        auth_app.include_router(key_set_router(published))
    limited = RateLimitMiddleware(
        auth_app,
        RateLimits(runtime.settings, memory=RateMemory(runtime.siblings.rate_memory if runtime.siblings else None)),
        rules.trusted_proxies,
        rules.authentication.cookies,
        rules.errors,
    )
    credentials = _credentials(runtime, flows, rules)
    api = ApiEndpoint(
        upstreams,
        credentials,
        origins=origins,
        errors=rules.errors,
        acr_values=runtime.settings.sign_in.acr_values,
    )
    plain: dict[bytes, ASGIApp] = {
        VERIFY: forward_auth.on_public_port,
        SESSION_EVENTS: _session_events(runtime, stores, flows, rules),
    }
    own = OwnEndpoints(limited, _own_paths(runtime.settings), plain)
    dispatcher = Dispatcher(own, api, upstreams.routes.match)
    if runtime.ports.host is not None:
        requests = _host_requests(runtime, rules, credentials, own, api)
        dispatcher = Dispatcher(own, api, upstreams.routes.configured, HostRoutes(runtime.ports.host, requests))
    inside: ASGIApp = AuditContext(dispatcher, rules.trusted_proxies)
    if origins.allows_other_origins:
        inside = CorsMiddleware(inside, upstreams.routes, origins)
    public: ASGIApp = RequestGuard(inside, rules.errors, names=names, foreign=foreign)
    if runtime.settings.telemetry.access_log:
        public, private = (AccessLog(app, rules.authentication.cookies) for app in (public, private))
    return WebApplications(
        public=TraceMiddleware(public, rules.trusted_proxies, runtime.telemetry),
        forward_auth=TraceMiddleware(private, rules.trusted_proxies, runtime.telemetry),
        endpoints=auth_app,
    )


def _own_paths(settings: Settings) -> tuple[str, ...]:
    """The paths of our own endpoints that are not below /auth."""
    return (settings.browser.callback_path, *((KEY_SET_PATH,) if settings.publishes_keys else ()))


def _host_requests(
    runtime: Runtime, rules: WebRules, credentials: SessionCredentials, own: OwnEndpoints, api: ApiEndpoint
) -> HostRequests:
    spa = runtime.settings.spa
    not_found = api if spa.upstream is not None else own.app if spa.dir is not None else None
    request_rules = RequestRules(rules.authentication.origins, rules.errors)
    return HostRequests(credentials, api, request_rules, runtime.settings, not_found)


def _credentials(runtime: Runtime, flows: Flows, rules: WebRules) -> SessionCredentials:
    sessions = flows.sessions
    tokens = UpstreamTokens(frozenset(runtime.settings.provider.scopes), flows.assertions, flows.api_tokens)
    return SessionCredentials(sessions.refresh, sessions.streams, rules.authentication, tokens, clock=runtime.clock)


def _forward_auth(runtime: Runtime, flows: Flows, rules: WebRules) -> ForwardAuth:
    settings, refresh = runtime.settings, flows.sessions.refresh
    access = ForwardAuthAccess(refresh, rules.authentication, settings.forward_auth, clock=runtime.clock)
    return ForwardAuth(access, flows.assertions, rules.trusted_proxies, rules.errors, settings)


def _current_sessions(runtime: Runtime, stores: Stores, flows: Flows) -> CurrentSessions:
    return CurrentSessions(stores.sessions, flows.sessions.refresh, flows.sessions.end_session, runtime.policy)


def _session_events(runtime: Runtime, stores: Stores, flows: Flows, rules: WebRules) -> SessionEvents:
    current, limits = (
        _current_sessions(runtime, stores, flows),
        EventStreamLimits(runtime.settings.session.event_streams),
    )
    return SessionEvents(current, rules.authentication, flows.sessions.streams, rules.errors, limits)


def _auth_app(
    runtime: Runtime,
    stores: Stores,
    flows: Flows,
    rules: WebRules,
    upstreams: Upstreams,
    receiver: SecurityEventReceiver | None,
) -> FastAPI:
    """Our own endpoints, and the SPA for every other path."""
    settings, store, authentication = runtime.settings, stores.sessions, rules.authentication
    end_session, end_sessions = flows.sessions.end_session, flows.sessions.end_sessions
    start = _sign_in_start(runtime, stores, flows, rules)
    callback = Callback(flows.sign_in.code, start, store, authentication.cookies, rules.trusted_proxies)
    current = _current_sessions(runtime, stores, flows)
    sign_out_cookie = SignOutCookie(stores.ring, rules.names)
    logout = LogoutEndpoint(end_session, flows.logout.at_provider, authentication, sign_out_cookie, settings.browser)
    auth_app = build_auth_app(rules.errors)
    for router in (
        login_router(start),
        landing_router(settings.browser, upstreams.routes.carries_credentials),
        popup_router(PopupPage(settings.browser.landing_path, settings.browser.page_style())),
        callback_router(settings.browser.callback_path, callback),
        session_router(SessionEndpoint(current, authentication, rules.names, rules.device.offers)),
        device_binding_router(_device_binding(current, rules)),
        logout_router(logout, SignOutForm(logout, settings.browser.page_style())),
        sessions_router(SessionsEndpoint(current, end_sessions, authentication)),
        provider_logout_router(ProviderLogout(flows.logout.by_provider)),
    ):
        auth_app.include_router(router)
    if receiver is not None and settings.security_events.delivery == "push":
        auth_app.include_router(security_events_router(_security_events(settings, receiver, rules)))
    serve_spa(auth_app, settings.spa.dir)
    return auth_app


def _device_binding(current: CurrentSessions, rules: WebRules) -> DeviceBindingEndpoint:
    device, cookies = rules.device, rules.authentication.cookies
    return DeviceBindingEndpoint(current, device.bindings, cookies, device.cookies, rules.errors)


def _security_events(settings: Settings, receiver: SecurityEventReceiver, rules: WebRules) -> SecurityEventsEndpoint:
    section, secret = settings.security_events, settings.security_events.authorization
    audiences = section.audience or (settings.browser.security_events_endpoint,)
    authorization = None if secret is None else secret.get_secret_value()
    return SecurityEventsEndpoint(receiver, audiences, authorization, rules.errors)


def _sign_in_start(runtime: Runtime, stores: Stores, flows: Flows, rules: WebRules) -> SignInStart:
    pending = PendingSignIns(stores.ring, rules.names, runtime.settings.sign_in, runtime.clock)
    hints = LoginHints(stores.ring, runtime.clock)
    return SignInStart(flows.sign_in.requests, pending, hints, rules.errors, runtime.settings)
