"""The deny-list of response headers that a browser does not receive from an upstream.

Requests have an allow-list. Responses have a deny-list, because an API uses arbitrary names towards its own page
(`x-total-count`, `tus-resumable`) and decides about headers that describe the response itself, such as its type, its
age and its Content-Security-Policy. A header is dropped, with all headers of its prefix, in these cases:

- A proxy in front of the BFF would act on it: fetch another resource, set a cookie or rewrite the response.
- A browser would apply it to the whole origin, to later requests or to other sites.
- A shared cache would obey it in addition to Cache-Control or instead of it. Routes that allow shared caches keep it.
- It discloses internal hosts or software, or a token.
- It is the BFF's own word that a request was not forwarded (`bff.asgi.forwarded`).
"""

from functools import lru_cache
from typing import Final

# RFC 9110 section 7.6.1, and further hop-by-hop fields in common use.
HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings".split()
)

# Always dropped, even if a route lists them.
_NEVER_ALLOWED: Final = HOP_BY_HOP | frozenset(
    b"""
    expect set-cookie set-cookie2 clear-site-data authorization
    set-login idp-signin-status activate-storage-access
    x-bff-forwarded
    """.split()
)
_NEVER_ALLOWED_PREFIXES: Final = (
    b"access-control-",
    b"proxy-",
    # Instructions to nginx, lighttpd, Apache, LiteSpeed, Perlbal, H2O and Envoy: an internal redirect or a file.
    b"x-accel-",
    b"x-sendfile",
    b"x-lighttpd-",
    b"x-litespeed-",
    b"x-lsadc-",
    b"lsc-",
    b"x-reproxy-",
    b"x-envoy-",
    # Device Bound Session Credentials: they would register a session or a new key for the site.
    b"secure-session-",
    b"sec-",
    # Tokens and addresses that a load balancer adds for the recipient of a request.
    b"x-amzn-oidc-",
    b"x-forwarded-",
)

# Dropped unless the route lists them.
_DROPPED: Final = frozenset(
    b"""
    server date via x-powered-by x-aspnet-version x-aspnetmvc-version x-generator x-runtime x-backend-server x-served-by
    x-upstream x-content-type-options x-access-token x-id-token
    www-authenticate authentication-info optional-www-authenticate dpop-nonce
    x-original-url x-rewrite-url x-cascade x-http2-push-only
    alt-svc strict-transport-security public-key-pins public-key-pins-report-only expect-ct expect-staple
    nel report-to reporting-endpoints refresh service-worker-allowed timing-allow-origin
    accept-ch accept-ch-lifetime critical-ch origin-agent-cluster supports-loading-mode speculation-rules
    observe-browsing-topics use-as-dictionary shared-storage-write x-allow-fledge
    """.split()
)
_DROPPED_PREFIXES: Final = (b"attribution-reporting-", b"ad-auction-", b"x-middleware-", b"x-arr-")
_ALL_PREFIXES: Final = _NEVER_ALLOWED_PREFIXES + _DROPPED_PREFIXES

# Content delivery networks and reverse proxies obey these instead of Cache-Control (RFC 9213, Edge Architecture).
_SHARED_CACHE: Final = frozenset(b"cf-edge-cache x-esi x-do-esi".split())
_SHARED_CACHE_PREFIXES: Final = (b"surrogate-", b"edge-")


@lru_cache(maxsize=256)
def is_dropped(name: bytes) -> bool:
    """Whether an upstream's response header is dropped unless the route allows it. `name` is in lower case."""
    return name in _NEVER_ALLOWED or name in _DROPPED or name.startswith(_ALL_PREFIXES)


@lru_cache(maxsize=256)
def is_for_shared_caches(name: bytes) -> bool:
    """Whether the header directs shared caches and is not Cache-Control. `name` is in lower case."""
    return name in _SHARED_CACHE or name.startswith(_SHARED_CACHE_PREFIXES) or name.endswith(b"cdn-cache-control")


def may_be_allowed(name: bytes) -> bool:
    """Whether a route may allow the header. `name` is in lower case.

    `content-length` is excluded, because the server sets it from the body that it sends.
    """
    return name != b"content-length" and name not in _NEVER_ALLOWED and not name.startswith(_NEVER_ALLOWED_PREFIXES)
