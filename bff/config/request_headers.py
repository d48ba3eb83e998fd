"""The allow-list of request headers that an upstream may receive.

A deny-list could never be complete: every API gateway, service mesh and framework has its own header for the caller's
identity, and an upstream would trust it. A header is forwarded only if it is on the list below, which covers content
negotiation but no identity, or if the route lists it in `allow_request_headers`. `docs/data-plane.md` documents the
list.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Final

ALLOWED: Final = frozenset(
    b"""
    accept range prefer priority idempotency-key last-event-id cache-control pragma user-agent x-requested-with
    x-request-id save-data dnt digest repr-digest want-content-digest want-repr-digest want-digest
    """.split()
)
ALLOWED_PREFIXES: Final = (b"accept-", b"content-", b"if-")

# Headers that browsers and trusted proxies send with most requests. Dropping them is expected and not counted. A route
# may list some of them; the others are addressed to the BFF or are hop-by-hop.
_BROWSER_DEFAULTS: Final = frozenset(
    b"""
    origin referer upgrade-insecure-requests purpose device-memory downlink dpr ect rtt viewport-width width
    """.split()
)
_PROXY_HEADERS: Final = frozenset(
    b"""
    connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings content-length expect
    max-forwards host cookie cookie2 authorization dpop via x-csrf x-background early-data
    forwarded x-real-ip x-scheme x-url-scheme traceparent tracestate baggage
    """.split()
)
_PROXY_PREFIXES: Final = (b"sec-", b"secure-session-", b"x-forwarded-")

# About the request or its way here: never a user's identity.
_OF_THE_REQUEST: Final = _PROXY_HEADERS | frozenset(
    b"""
    x-client-ip client-ip true-client-ip x-cluster-client-ip x-originating-ip
    cf-connecting-ip cf-connecting-ipv6 fastly-client-ip x-appengine-user-ip
    x-host x-http-host-override x-original-host x-original-url x-original-uri x-original-method x-rewrite-url
    front-end-https x-http-method x-http-method-override x-method-override
    x-middleware-subrequest x-script-name script-name x-forwarded x-sign-in x-sign-in-url
    x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-ssl
    x-forwarded-port x-forwarded-path x-forwarded-prefix x-forwarded-uri x-forwarded-url x-forwarded-method
    x-forwarded-server x-forwarded-by
    """.split()
)
# Never forwarded, even if a route lists them: framing, headers that the BFF sets, overrides of method, path or host,
# and known identity headers.
_NEVER_ALLOWED: Final = _OF_THE_REQUEST | frozenset(
    b"""
    x-user x-username x-user-id x-user-name x-user-email x-user-roles x-user-groups x-userid x-email x-groups x-roles
    x-user-sub x-user-info x-user-claims x-user-login x-user-uid x-user-uuid x-user-role x-user-group x-user-principal
    x-user-permissions x-user-scopes x-user-scope x-user-identity x-user-token x-user-data x-user-profile
    x-user-fullname x-user-displayname x-user-display-name x-user-preferred-username x-useremail x-usergroups
    x-identity x-principal x-subject x-sub x-role x-scopes x-permissions x-group x-claims x-login x-uid x-upn x-caller
    x-actor x-entitlements x-authorization x-current-user x-logged-in-user x-real-user x-proxy-user x-sso-user
    x-consumer-id x-consumer-username x-consumer-custom-id x-credential-identifier x-anonymous-consumer
    x-access-token x-id-token x-userinfo x-jwt-assertion x-jwt-payload x-client-cert x-client-dn x-client-verify
    x-endpoint-api-userinfo x-endpoint-api-consumer-type x-endpoint-api-consumer-number x-apigateway-api-userinfo
    x-ssl-cert x-impersonate-user client-cert client-cert-chain kubeflow-userid teleport-jwt-assertion
    """.split()
)
_NEVER_ALLOWED_PREFIXES: Final = (
    b"sec-fetch-",
    b"sec-websocket-",
    b"sec-secure-session-",
    b"secure-session-",
    b"proxy-",
    b"x-forwarded-",
    b"x-auth-",
    b"x-authenticated-",
    b"x-authentik-",
    b"x-okta-",
    b"x-remote-",
    b"remote-",
    b"x-webauth-",
    b"x-ms-client-principal",
    b"x-ms-token-",
    b"x-goog-authenticated-user-",
    b"x-goog-iap-",
    b"x-amzn-oidc-",
    b"x-vouch-",
    b"x-pomerium-",
    b"x-token-",
    b"x-envoy-",
    b"x-internal-",
    b"ssl-client-",
    b"x-ssl-client-",
    b"x-accel-",
    b"cf-access-",
    b"tailscale-user-",
    b"impersonate-",
    b"iv-",
    b"sm-",
    b"oidc-",
    b"x-oidc-",
    b"x-oauth-",
    b"x-jwt-",
    b"x-saml-",
    b"x-shib-",
    b"shib-",
    b"mellon-",
    b"x-ldap-",
    b"x-spiffe-",
    b"x-consumer-",
    b"x-user-claim-",
    b"x-principal-",
    b"x-identity-",
    b"x-subject-",
    b"x-client-cert-",
    b"x-bff-",
)

_SPELLING: Final = re.compile(rb"[a-z0-9]+(?:-[a-z0-9]+)*")


class Disposition(Enum):
    """What happens to a header that no route lists."""

    FORWARDED = auto()
    CONSUMED = auto()  # not counted: addressed to the BFF, or hop-by-hop
    DROPPED = auto()  # counted in a metric, so that operators notice


@lru_cache(maxsize=1024)
def classify(name: bytes) -> Disposition:
    """Returns what happens to a request header that no route lists. `name` is in lower case, as ASGI has it."""
    if name in _PROXY_HEADERS or name in _BROWSER_DEFAULTS or name.startswith(_PROXY_PREFIXES):
        return Disposition.CONSUMED
    if (name in ALLOWED or name.startswith(ALLOWED_PREFIXES)) and _SPELLING.fullmatch(name):
        return Disposition.FORWARDED
    return Disposition.DROPPED


def may_be_allowed(name: bytes) -> bool:
    """Whether a route may list this header.

    The name may have only letters, digits and hyphens: CGI, WSGI and others read `X_User_Sub` and `X.User.Sub` as
    `X-User-Sub`, so another character could disguise a header that must not be listed.
    """
    return (
        bool(_SPELLING.fullmatch(name)) and name not in _NEVER_ALLOWED and not name.startswith(_NEVER_ALLOWED_PREFIXES)
    )


def describes_request(name: bytes) -> bool:
    """Whether a header describes the request or its way here, so that it cannot also have a claim of the user."""
    return name in _OF_THE_REQUEST or name.startswith((b"x-accel-", b"x-envoy-", b"x-sendfile", b"x-bff-"))


def loosest_form(name: str) -> str:
    """Normalizes a header name as CGI-like servers do, which ignore case and the kind of separator."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def conflicting_name(names: Iterable[str], others: Iterable[str]) -> str | None:
    """Returns the first of `names` that a server could confuse with one of `others`, or None."""
    taken = {loosest_form(other) for other in others}
    return next((name for name in names if loosest_form(name) in taken), None)
