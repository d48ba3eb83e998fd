"""Builds the route table of the settings: the API routes, and the route of a development server for the SPA."""

import ssl
from pathlib import Path

from bff.config.routes import RouteSettings
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.proxy.routes import Route, RouteTable, TokenKind, Upstream


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
