"""Which headers of an upstream a browser may not see.

A deny list, whereas requests have an allow list: an API talks to its own page in arbitrary names (`x-total-count`,
`tus-resumable`), and headers that describe the response itself (its type, its age, its Content-Security-Policy) are
the API's decision. A name is dropped, with its whole family, if a recipient acts on it beyond this one response:

- a proxy in front of us, that would fetch another resource in its place, set a cookie, or rewrite it;
- a browser, that would keep it for the whole origin, for later requests, or for other sites;
- a shared cache, beside or instead of Cache-Control: only where the route allows shared caches;
- what names the inside, or a token.
"""

from functools import lru_cache
from typing import Final

# RFC 9110 section 7.6.1, and further hop-by-hop fields in common use.
HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings".split()
)

# By name; not even where a route lists them.
_NEVER: Final = HOP_BY_HOP | frozenset(
    b"""
    expect set-cookie set-cookie2 clear-site-data authorization
    set-login idp-signin-status activate-storage-access
    """.split()
)
_NEVER_PREFIXES: Final = (
    b"access-control-",
    b"proxy-",
    # An instruction to nginx, lighttpd, Apache, LiteSpeed, Perlbal and H2O, Envoy: an internal redirect or a file.
    b"x-accel-",
    b"x-sendfile",
    b"x-lighttpd-",
    b"x-litespeed-",
    b"x-lsadc-",
    b"lsc-",
    b"x-reproxy-",
    b"x-envoy-",
    # Device bound sessions: it would register a session, or a new key, of this site.
    b"secure-session-",
    b"sec-",
    # A token that was meant for us.
    b"x-amzn-oidc-",
    b"x-forwarded-",
)

# Unless the route lists them.
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
_ALL_PREFIXES: Final = _NEVER_PREFIXES + _DROPPED_PREFIXES

# Obeyed by content delivery networks and reverse proxies in the place of Cache-Control (RFC 9213, Edge Architecture).
_SHARED_CACHE: Final = frozenset(b"cf-edge-cache x-esi x-do-esi".split())
_SHARED_CACHE_PREFIXES: Final = (b"surrogate-", b"edge-")


@lru_cache(maxsize=256)
def is_dropped(name: bytes) -> bool:
    """Whether a header of an upstream is dropped, unless its route lets it through. Names are in lower case."""
    return name in _NEVER or name in _DROPPED or name.startswith(_ALL_PREFIXES)


@lru_cache(maxsize=256)
def is_for_shared_caches(name: bytes) -> bool:
    """Whether it is a caching directive for shared caches other than Cache-Control."""
    return name in _SHARED_CACHE or name.startswith(_SHARED_CACHE_PREFIXES) or name.endswith(b"cdn-cache-control")


def may_be_allowed(name: bytes) -> bool:
    """Whether a route may let it through. Names are in lower case. A length is the connection's to say."""
    return name != b"content-length" and name not in _NEVER and not name.startswith(_NEVER_PREFIXES)
