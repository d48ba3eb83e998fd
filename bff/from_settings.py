"""Maps the settings to the parameters of each component. (The file disappears with nested settings.)"""

import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

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
    held = (settings.client_secret, settings.client_secret_next)
    try:
        return client_authentication(
            settings.client_auth,
            settings.client_id,
            secrets=[secret.get_secret_value() for secret in held if secret is not None],
            private_key=settings.client_private_key.get_secret_value() if settings.client_private_key else None,
            key_id=settings.client_key_id,
        )
    except ValueError as error:
        fix = "See docs/settings.md for what each method needs."
        raise ConfigurationError("BFF_CLIENT_AUTH", f"cannot be used: {error}.", fix) from None


def provider(settings: Settings, clock: Callable[[], float], issuer: str | None = None) -> HttpProvider:
    """`issuer` overrides the configured one, within the same org."""
    transport = ProviderTransport(
        timeout=settings.provider_timeout,
        proxy=settings.provider_proxy,
        ca_file=settings.provider_ca_file,
        refreshes=settings.refresh_concurrency,
    )
    return HttpProvider(issuer or settings.issuer, client_auth(settings), transport=transport, clock=clock)


def org_provider(settings: Settings, clock: Callable[[], float]) -> tuple[HttpProvider, ...]:
    """The org authorization server, if the issuer is a custom one: its keys may sign Universal Logout requests."""
    org = org_url(settings.issuer)
    return () if org == settings.issuer else (provider(settings, clock, org),)


def validate_metadata(settings: Settings, metadata: ProviderMetadata) -> None:
    """Raises ConfigurationError where a setting requires more than the provider supports."""
    if settings.dpop == "on" and ALGORITHM not in metadata.dpop_signing_alg_values_supported:
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
    if settings.spa_upstream is not None:
        no_token: TokenKind = "none"
        # Development servers reload the page over a WebSocket.
        spa = Upstream.parse(settings.spa_upstream)
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
        before_expiry=settings.refresh_before_expiry,
        timeout=settings.refresh_timeout,
        lease=settings.refresh_lease,
        grace=settings.refresh_grace,
        after_grace=settings.refresh_after_grace,
        idle_timeout=settings.idle_timeout,
        max_session_lifetime=max_session_lifetime(settings),
    )


def max_session_lifetime(settings: Settings) -> float:
    """The maximum session lifetime in seconds: without a refresh token a session ends with its access token."""
    return min(settings.absolute_timeout, settings.refresh_token_lifetime or settings.absolute_timeout)


def org_url(issuer: str) -> str:
    """The base URL of the Okta org of an issuer."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}"


def logout_rules(settings: Settings) -> LogoutRules:
    return LogoutRules(
        client_id=settings.client_id,
        issuers=tuple(dict.fromkeys((settings.issuer, org_url(settings.issuer)))),
        algorithms=settings.id_token_algorithms,
        skew=settings.clock_skew,
        revocation_endpoint=f"{settings.public_url}/auth/global-token-revocation",
        by_email="email" in settings.scopes,
    )


def sign_out_rules(settings: Settings) -> SignOutRules:
    return SignOutRules(
        client_id=settings.client_id,
        post_logout_redirect_uri=settings.post_logout_redirect_uri,
        hint=settings.sign_out_hint,
    )


def id_token_rules(settings: Settings) -> IdTokenRules:
    return IdTokenRules(
        issuer=settings.issuer,
        client_id=settings.client_id,
        algorithms=settings.id_token_algorithms,
        skew=settings.clock_skew,
        shown_claims=settings.user_claims,
    )


def sign_in_rules(settings: Settings) -> SignInRules:
    return SignInRules(
        client_id=settings.client_id,
        issuer=settings.issuer,
        redirect_uri=settings.redirect_uri,
        scopes=settings.scopes,
        max_session_lifetime=max_session_lifetime(settings),
        before_expiry=settings.refresh_before_expiry,
        response_mode=settings.response_mode,
        push=settings.par,
        dpop=settings.dpop == "on",
    )


def login_rules(settings: Settings) -> LoginRules:
    return LoginRules(
        issuer=settings.issuer,
        public_url=settings.public_url,
        callback_path=settings.callback_path,
        landing_path=settings.landing_path,
        login_lifetime=settings.login_lifetime,
        acr_values=settings.acr_values,
        allowed_prompts=settings.allowed_prompts,
        allowed_idps=settings.allowed_idps,
        form_post=settings.response_mode == "form_post",
    )


def limit_rules(settings: Settings) -> LimitRules:
    return LimitRules(
        per_client=settings.sign_in_rate_per_client,
        for_all=settings.sign_in_rate,
        public_url=settings.public_url,
        callback_path=settings.callback_path,
        landing_path=settings.landing_path,
    )


def forward_auth_rules(settings: Settings) -> ForwardAuthRules:
    return ForwardAuthRules(
        public_url=settings.public_url,
        landing_path=settings.landing_path,
        callback_path=settings.callback_path,
        identity=settings.identity_headers,
    )


def page_style(settings: Settings) -> str | None:
    """The style sheet of the error pages, with the operator's own."""
    path = settings.page_style_file
    return None if path is None else path.read_text("utf-8")
