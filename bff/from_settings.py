"""Maps the settings to the parameters of each component. (The file disappears with nested settings.)"""

import ssl
from collections.abc import Callable
from pathlib import Path

from bff.config.routes import RouteSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.flows.authorization_request import SignInRules
from bff.flows.id_tokens import IdTokenRules
from bff.flows.logout.provider_logout import LogoutRules
from bff.flows.logout.provider_sign_out import SignOutRules
from bff.oidc.client_auth import ClientAuthentication, client_authentication
from bff.oidc.dpop import ALGORITHM
from bff.oidc.metadata import ProviderMetadata
from bff.provider.client import HttpProvider
from bff.provider.connections import ProviderTransport
from bff.proxy.routes import Route, RouteTable, TokenKind, Upstream
from bff.session.timing import RefreshPolicy
from bff.web.auth.forward_auth import ForwardAuthRules
from bff.web.auth.login import LoginRules
from bff.web.middleware.rate_limit import LimitRules


def client_auth(settings: Settings) -> ClientAuthentication:
    """Raises ConfigurationError."""
    held = (settings.provider.client_secret, settings.provider.client_secret_next)
    try:
        return client_authentication(
            settings.provider.client_auth,
            settings.provider.client_id,
            secrets=[secret.get_secret_value() for secret in held if secret is not None],
            private_key=settings.provider.client_private_key.get_secret_value()
            if settings.provider.client_private_key
            else None,
            key_id=settings.provider.client_key_id,
        )
    except ValueError as error:
        fix = "See docs/settings.md for what each method needs."
        raise ConfigurationError("BFF_CLIENT_AUTH", f"cannot be used: {error}.", fix) from None


def provider(settings: Settings, clock: Callable[[], float], issuer: str | None = None) -> HttpProvider:
    """`issuer` overrides the configured one, within the same org."""
    transport = ProviderTransport(
        timeout=settings.provider.timeout,
        proxy=settings.provider.proxy,
        ca_file=settings.provider.ca_file,
        refreshes=settings.refresh.concurrency,
    )
    return HttpProvider(issuer or settings.provider.issuer, client_auth(settings), transport=transport, clock=clock)


def org_provider(settings: Settings, clock: Callable[[], float]) -> tuple[HttpProvider, ...]:
    """The org authorization server, if the issuer is a custom one: its keys may sign Universal Logout requests."""
    org = settings.provider.org_url
    return () if org == settings.provider.issuer else (provider(settings, clock, org),)


def validate_metadata(settings: Settings, metadata: ProviderMetadata) -> None:
    """Raises ConfigurationError where a setting requires more than the provider supports."""
    if settings.provider.uses_dpop and ALGORITHM not in metadata.dpop_signing_alg_values_supported:
        problem = f"is on, and the provider does not support DPoP proofs signed with {ALGORITHM}."
        raise ConfigurationError("BFF_DPOP", problem, "Set it to off, or use a provider that supports RFC 9449.")


def route_table(settings: Settings) -> RouteTable:
    contexts: dict[tuple[Path | None, ...], ssl.SSLContext] = {}
    routes = [
        Route(
            prefix=route.prefix,
            upstream=Upstream.parse(route.upstream),
            methods=route.methods,
            strip_prefix=route.strip_prefix,
            ignore_case=route.ignore_case,
            token=route.token,
            csrf=route.csrf,
            background=route.background,
            timeout=route.timeout,
            read_timeout=route.read_timeout,
            connect_timeout=route.connect_timeout,
            request_limit=route.request_limit,
            scopes=frozenset(route.scopes),
            add_headers=tuple(
                (name.lower().encode("ascii"), value.get_secret_value().encode("ascii"))
                for name, value in (route.add_headers or {}).items()
            ),
            allow_request_headers=frozenset(name.encode("ascii") for name in route.allow_request_headers),
            allow_response_headers=frozenset(name.encode("ascii") for name in route.allow_response_headers),
            allow_cookies=frozenset(name.encode("ascii") for name in route.allow_cookies),
            allow_shared_cache=route.allow_shared_cache,
            websocket=route.websocket,
            message_limit=route.message_limit,
            on_token_expiry=route.on_token_expiry,
            tls=_upstream_tls(route, contexts),
        )
        for route in settings.routes
    ]
    if settings.spa.upstream is not None:
        no_token: TokenKind = "none"
        # Development servers reload the page over a WebSocket.
        spa = Upstream.parse(settings.spa.upstream)
        routes.append(Route("/", spa, methods=("GET", "HEAD"), token=no_token, websocket=True))
    return RouteTable(routes)


def _upstream_tls(
    route: RouteSettings, contexts: dict[tuple[Path | None, ...], ssl.SSLContext]
) -> ssl.SSLContext | None:
    """One SSL context for each set of files.

    Raises ConfigurationError for files that are not a certificate or a key.
    """
    files = (route.ca_file, route.client_cert_file, route.client_key_file)
    if files == (None, None, None):
        return None
    if files not in contexts:
        try:
            context = ssl.create_default_context(cafile=route.ca_file)
            if route.client_cert_file is not None:
                context.load_cert_chain(route.client_cert_file, route.client_key_file)
        except (ssl.SSLError, OSError, ValueError):
            problem = f"{route.prefix} names a ca_file, client_cert_file or client_key_file that cannot be used."
            fix = "Give PEM files: an unencrypted key, and its certificate."
            raise ConfigurationError("BFF_ROUTES", problem, fix) from None
        contexts[files] = context
    return contexts[files]


def policy(settings: Settings) -> RefreshPolicy:
    return RefreshPolicy(
        before_expiry=settings.refresh.before_expiry,
        timeout=settings.refresh.timeout,
        lease=settings.refresh.lease,
        grace=settings.refresh.grace,
        after_grace=settings.refresh.after_grace,
        idle_timeout=settings.session.idle_timeout,
        max_session_lifetime=settings.session.max_lifetime,
    )


def logout_rules(settings: Settings) -> LogoutRules:
    return LogoutRules(
        client_id=settings.provider.client_id,
        issuers=settings.provider.logout_issuers,
        algorithms=settings.provider.id_token_algorithms,
        skew=settings.provider.clock_skew,
        revocation_endpoint=settings.browser.revocation_endpoint,
        by_email="email" in settings.provider.scopes,
    )


def sign_out_rules(settings: Settings) -> SignOutRules:
    return SignOutRules(
        client_id=settings.provider.client_id,
        post_logout_redirect_uri=settings.browser.post_logout_redirect_uri,
        hint=settings.provider.sign_out_hint,
    )


def id_token_rules(settings: Settings) -> IdTokenRules:
    return IdTokenRules(
        issuer=settings.provider.issuer,
        client_id=settings.provider.client_id,
        algorithms=settings.provider.id_token_algorithms,
        skew=settings.provider.clock_skew,
        shown_claims=settings.session.user_claims,
    )


def sign_in_rules(settings: Settings) -> SignInRules:
    return SignInRules(
        client_id=settings.provider.client_id,
        issuer=settings.provider.issuer,
        redirect_uri=settings.browser.redirect_uri,
        scopes=settings.provider.scopes,
        max_session_lifetime=settings.session.max_lifetime,
        before_expiry=settings.refresh.before_expiry,
        response_mode=settings.sign_in.response_mode,
        push=settings.sign_in.par,
        dpop=settings.provider.uses_dpop,
    )


def login_rules(settings: Settings) -> LoginRules:
    return LoginRules(
        issuer=settings.provider.issuer,
        public_url=settings.browser.public_url,
        callback_path=settings.browser.callback_path,
        landing_path=settings.browser.landing_path,
        login_lifetime=settings.sign_in.login_lifetime,
        acr_values=settings.sign_in.acr_values,
        allowed_prompts=settings.sign_in.allowed_prompts,
        allowed_idps=settings.sign_in.allowed_idps,
        form_post=settings.sign_in.by_form_post,
    )


def limit_rules(settings: Settings) -> LimitRules:
    return LimitRules(
        per_client=settings.sign_in.rate_per_client,
        for_all=settings.sign_in.rate,
        public_url=settings.browser.public_url,
        callback_path=settings.browser.callback_path,
        landing_path=settings.browser.landing_path,
    )


def forward_auth_rules(settings: Settings) -> ForwardAuthRules:
    return ForwardAuthRules(
        public_url=settings.browser.public_url,
        landing_path=settings.browser.landing_path,
        callback_path=settings.browser.callback_path,
        identity=settings.forward_auth.identity,
    )
