"""Header filtering: which client headers an upstream receives, and which upstream headers a browser receives."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from bff.asgi.header_section import FACTS_LIMIT, facts_of
from bff.config.request_headers import Disposition, classify
from bff.config.response_headers import is_dropped, is_for_shared_caches
from bff.config.routes import Route
from bff.http1.response_parser import Header
from bff.proxy.cache_control import authenticated_cache_control
from bff.proxy.identity_headers import identity_fields
from bff.telemetry import metrics

logger = logging.getLogger(__name__)


# Cookies of an upstream's own: only those that a route lists, and never beyond this host.


def cookies_for_upstream(headers: Iterable[tuple[bytes, bytes]], allowed: Collection[bytes]) -> bytes:
    """The listed cookies of a request as one Cookie line, b"" if there are none. Names are compared byte for byte."""
    pairs = (
        pair.strip(b" \t") for name, value in headers if name == b"cookie" for pair in value.split(b";") if b"=" in pair
    )
    return b"; ".join(pair for pair in pairs if pair.partition(b"=")[0].rstrip(b" \t") in allowed)


def cookie_for_browser(set_cookie: bytes, allowed: Collection[bytes], *, secure: bool) -> bytes | None:
    """A Set-Cookie limited to this host; None if its name is not listed.

    A Domain attribute would send it to sibling hosts and let it shadow theirs. A cookie without a name (`=x` or `x`) is
    never allowed: browsers send its value first, where it can look like another cookie.
    """
    pair, *attributes = set_cookie.split(b";")
    name, equals, _ = pair.partition(b"=")
    if not equals or name.strip(b" \t") not in allowed:
        return None
    names = [attribute.partition(b"=")[0].strip(b" \t").lower() for attribute in attributes]
    kept = [attribute for attribute, named in zip(attributes, names, strict=True) if named != b"domain"]
    if secure and b"secure" not in names:
        kept.append(b" Secure")
    return b";".join([pair, *kept])


# Upstream headers that need processing before they are forwarded.
_EXAMINED: Final = frozenset(
    {b"cache-control", b"cross-origin-resource-policy", b"content-length", b"location", b"content-location"}
)
_NOTHING: Final[frozenset[bytes]] = frozenset()
_CONTROLS: Final = bytes(range(0x09)) + bytes(range(0x0A, 0x20)) + b"\x7f"


_FORWARDED, _DROPPED = (
    Disposition.FORWARDED,
    Disposition.DROPPED,
)  # an attribute of an Enum costs more than the comparison


@dataclass(frozen=True, slots=True)
class PublicOrigin:
    """The public origin, from the settings and never from a request. `host` includes the port, if any."""

    scheme: str
    host: str
    fields: tuple[Header, Header] = field(init=False, repr=False)  # for upstreams

    def __post_init__(self) -> None:
        proto = b"x-forwarded-proto", self.scheme.encode("ascii")
        object.__setattr__(self, "fields", (proto, (b"x-forwarded-host", self.host.encode("ascii"))))

    @classmethod
    def parse(cls, public_url: str) -> "PublicOrigin":
        parts = urlsplit(public_url)
        return cls(parts.scheme, parts.netloc)


def _has_controls(value: bytes) -> bool:
    return len(value.translate(None, _CONTROLS)) != len(value)


def _is_plain(name: bytes) -> bool:
    """Whether an upstream header is forwarded unmodified."""
    plain = not is_dropped(name) and name not in _EXAMINED and not is_for_shared_caches(name)
    if len(_plain) < 256:  # upstreams choose the names
        _plain[name] = plain
    return plain


_plain: Final[dict[bytes, bool]] = {}


def _named_by_connection(headers: Sequence[Header]) -> frozenset[bytes]:
    """The fields that the sender's Connection header declares hop-by-hop (RFC 9110 section 7.6.1)."""
    values = [value for name, value in headers if name == b"connection"]
    return _options(b",".join(values)) if values else _NOTHING


@lru_cache(maxsize=256)
def _options(connection: bytes) -> frozenset[bytes]:
    return frozenset(option.strip().lower() for option in connection.split(b","))


def request_headers(
    headers: Sequence[Header],
    *,
    route: Route,
    origin: PublicOrigin,
    client_address: str,
    token: str | None,
    trace: Sequence[Header],
    proof: bytes | None = None,
    assertion: Header | None = None,
    claim_of: Callable[[str], Any] | None = None,
) -> list[Header]:
    """The headers for the upstream.

    Names are in lower case (ASGI). `trace`: `bff.telemetry.tracing.upstream_headers`. With a `proof` the token is sent
    with the DPoP scheme. `assertion`: the field of `assertion_field`. `claim_of` returns a claim of the user, for the
    identity headers of the route. Client headers are forwarded if `request_header_names` or the route lists them; the
    others are counted. Our headers are added after filtering, so that a Connection header cannot remove them. The
    connection writes Content-Length and Transfer-Encoding.
    """
    kept, dropped = _forwarded(headers, route)
    if dropped:
        metrics.REQUEST_HEADERS_DROPPED.labels(route.prefix).inc(len(dropped))
        for name in dropped:
            logger.debug("a request header was not forwarded", extra={"header": name.decode("latin-1")})
    ours: list[Header] = [
        route.server.host_field,
        (b"x-forwarded-for", client_address.encode("ascii", "replace")),
        *origin.fields,
        *trace,
    ]
    if token is not None:
        if proof is None:
            ours.append((b"authorization", b"Bearer " + token.encode("ascii")))
        else:
            ours += [(b"authorization", b"DPoP " + token.encode("ascii")), (b"dpop", proof)]
    if assertion is not None:
        ours.append(assertion)
    if claim_of is not None and route.identity_fields:
        ours += identity_fields(route.identity_fields, claim_of)
    if route.allow_cookies and (cookies := cookies_for_upstream(headers, route.cookie_names)):
        ours.append((b"cookie", cookies))
    if route.added_fields:
        added = {name for name, _ in route.added_fields}
        return [*ours, *route.added_fields, *(header for header in kept if header[0] not in added)]
    ours += kept
    return ours


def _forwarded(headers: Sequence[Header], route: Route) -> tuple[Sequence[Header], Sequence[bytes]]:
    """The client headers that are forwarded on this route, and the names of those that are dropped and counted."""
    facts = facts_of(headers)
    if facts is None:
        return _filtered(headers, route)
    key = _forwarded, route.prefix
    known = facts.get(key)
    if known is None or known[0] is not route:  # another application may have a route of this prefix
        known = route, _filtered(headers, route)
        if key in facts or len(facts) < FACTS_LIMIT:
            facts[key] = known
    filtered: tuple[Sequence[Header], Sequence[bytes]] = known[1]
    return filtered


def _filtered(headers: Sequence[Header], route: Route) -> tuple[Sequence[Header], Sequence[bytes]]:
    named = _named_by_connection(headers)
    listed = route.request_names
    kept: list[Header] = []
    dropped: list[bytes] = []
    for header in headers:
        name = header[0]
        decided = classify(name)
        if decided is _FORWARDED or name in listed:
            if not (named and name in named):
                kept.append(header)
        elif decided is _DROPPED:
            dropped.append(name)
    return kept, dropped


def response_headers(
    status: int, headers: Sequence[Header], *, route: Route, origin: PublicOrigin, authenticated: bool
) -> list[Header]:
    """The headers for the browser.

    An `authenticated` response is stored by no cache unless the upstream allows it, and by no shared cache unless the
    route allows it too.
    """
    names = [name for name, _ in headers]
    named = _named_by_connection(headers) if b"connection" in names else _NOTHING
    allowed = route.response_names
    assertion = None if route.assertion is None else route.assertion.header_name  # an upstream may return what it got
    bodiless = status in (204, 304)
    framed_otherwise = b"transfer-encoding" in names
    kept: list[Header] = [(b"x-content-type-options", b"nosniff")]
    stored_by: bytes | None = None
    resource_policy = False
    suspicious = _has_controls(b"".join([value for _, value in headers]))
    removes = suspicious or assertion is not None or bool(named)
    for header in headers:
        name, value = header
        if removes and (name in named or name == assertion or (suspicious and _has_controls(value))):
            continue
        if (plain := _plain.get(name)) is None:
            plain = _is_plain(name)
        if plain:
            kept.append(header)
            continue
        if is_dropped(name) and name not in allowed:
            if name == b"set-cookie" and route.allow_cookies:
                cookie = cookie_for_browser(value, route.cookie_names, secure=origin.scheme == "https")
                if cookie is not None:
                    kept.append((name, cookie))
            continue
        if is_for_shared_caches(name) and authenticated and not route.allow_shared_cache:
            continue
        if name == b"cache-control":
            stored_by = value if stored_by is None else stored_by + b"," + value
            continue
        if name == b"cross-origin-resource-policy":
            resource_policy = True
        elif name == b"content-length" and (bodiless or framed_otherwise):
            continue
        elif name in (b"location", b"content-location"):
            rewritten = public_location(value, route=route, origin=origin)
            if rewritten is None:
                continue
            value = rewritten
        kept.append((name, value))
    if authenticated:
        stored_by = authenticated_cache_control(stored_by, allow_shared=route.allow_shared_cache)
        if not resource_policy:
            # Other sites must not load the response as an image or script (Spectre).
            kept.append((b"cross-origin-resource-policy", b"same-origin"))
    if stored_by is not None:
        kept.append((b"cache-control", stored_by))
    return kept


def public_location(value: bytes, *, route: Route, origin: PublicOrigin) -> bytes | None:
    """A Location for the browser; None where it would reveal an internal address.

    A path of the upstream is mapped to the public path. Another https site passes (signed download URLs are common).
    Plain http and other schemes are dropped: an https page could not follow them, and they name internal hosts.
    """
    try:
        text = value.decode("ascii")
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if "\\" in text or any(character <= " " for character in text):
        return None
    if parts.scheme or parts.netloc:
        if parts.netloc == origin.host and parts.scheme == origin.scheme:
            return value
        if parts.hostname != route.server.address.lower():
            return value if parts.scheme == "https" and parts.netloc and parts.username is None else None
        scheme = parts.scheme or route.server.scheme
        if (port or (443 if scheme == "https" else 80)) != route.server.port:
            return None
        text = text[text.index(parts.netloc) + len(parts.netloc) :] or "/"
    if not text.startswith("/"):
        # A relative reference is resolved against the public URL; an empty one refers to the same resource.
        return text.encode("ascii")
    public = route.public_path(text)
    return None if public is None else public.encode("ascii")
