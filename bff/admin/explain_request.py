"""Explains how the BFF would handle one request: the route, what is validated, and what is forwarded. Sends nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bff.admin.explain_access import AccessChecks
from bff.admin.explain_token import about_identity, explain_token
from bff.config.request_headers import Disposition, classify, conflicting_name, may_be_allowed
from bff.config.routes import Route
from bff.config.settings import Settings
from bff.errors import BffError
from bff.proxy.open_routes import route_table
from bff.web.auth.forward_auth import VERIFY
from bff.web.error_status import status_of
from bff.web.middleware.request_guard import check_request

CSRF: Final = {
    "header": "X-CSRF: 1, from the application's own origin or an allowed one",
    "fetch-metadata": "same-origin fetch metadata suffices for GET and HEAD; other methods need X-CSRF: 1",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`forwarded`: whether the request would reach an upstream. `checks` of the session, if one is used."""

    forwarded: bool
    lines: tuple[str, ...]
    checks: AccessChecks | None = None


def explain_request(settings: Settings, method: str, path: str, sent: Sequence[str]) -> Explanation:
    """`path` may have a query. `sent` are headers as "Name: value". Raises ConfigurationError."""
    raw_path, _, query = path.partition("?")
    headers = [_header(line) for line in sent]
    host = [] if any(name == b"host" for name, _ in headers) else [(b"host", b"app.example")]
    refusal = check_request(method, raw_path.encode("utf-8"), query.encode("utf-8"), [*host, *headers])
    if refusal is not None:
        return _rejected(refusal)
    if raw_path == VERIFY.decode("ascii"):
        return _forward_auth(settings, query)
    if raw_path == "/auth" or raw_path.startswith("/auth/") or raw_path == settings.browser.callback_path:
        return Explanation(False, ("The BFF handles this path itself.",))
    table = route_table(settings)
    try:
        explained = table.explain(method, path)
    except BffError as error:
        bypassed = table.bypassed_route(raw_path.encode("ascii"))
        if bypassed is None:
            return _rejected(error)
        why = f"another server could match the path to {bypassed.prefix}, bypassing that route's rules"
        return Explanation(False, (why, *_rejected(error).lines))
    route = explained.route
    if route is None:
        return _refused("route_not_found", 404, "no route matches this path")
    if not explained.method_allowed:
        return _refused("method_not_allowed", 405, f"{route.prefix} forwards {', '.join(route.methods)}")
    upstream = f"{method} {route.server.scheme}://{route.server.authority}{explained.target}"
    fields = _route(settings, route) | {"upstream": upstream} | _limits(route)
    connection = {
        option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    }
    lines = [f"{name:17} {text}" for name, text in fields.items()]
    for name, _ in headers:
        disposition = _disposition(settings, route, name, name in connection)
        lines.append(f"{'header':17} {name.decode('latin-1')}: {disposition}")
    return Explanation(True, tuple(lines), AccessChecks.of_route(route))


def _forward_auth(settings: Settings, query: str) -> Explanation:
    """For a proxy that asks. Nothing is forwarded by the BFF itself."""
    named = [option.removeprefix("rules=") for option in query.split("&") if option.startswith("rules=")]
    if len(named) > 1 or not settings.forward_auth.named_rules.keys() >= set(named):
        return _refused("invalid_request", 400, "BFF_FORWARD_AUTH_RULES has not exactly one set of that name")
    checks = AccessChecks.of_forward_auth(settings.forward_auth, named)
    return Explanation(False, ("The BFF answers this itself, to a proxy.", f"{'rules':17} {checks}"), checks)


def _route(settings: Settings, route: Route) -> dict[str, str]:
    configured = any(candidate.prefix == route.prefix for candidate in settings.routes)
    return {
        "route": route.prefix if configured else "/ (spa_upstream)",
        "upstream": "",
        "token": explain_token(settings, route),
        "assertion": f"{route.assertion.header} {about_identity(route.assertion)}" if route.assertion else "none",
        "csrf": CSRF[route.csrf] if route.carries_credentials else "none: neither token nor cookie is forwarded",
        "scopes": " ".join(sorted(route.scopes)) or "none required",
        "rules": " or ".join(rule.name for rule in route.access_rules.rules)
        if route.access_rules
        else ("none" if route.token in ("user_or_none", "none") else "none: every session is allowed"),
    }


def _limits(route: Route) -> dict[str, str]:
    """The limits of the route, and what it adds, forwards and stores beyond the default."""
    body = f"request body {route.request_limit} bytes" if route.request_limit else "request body without limit"
    times = f"connect {route.connect_timeout:g} s, first byte {route.timeout:g} s, read {route.read_timeout:g} s"
    return {
        "limits": f"{times}, {body}",
        "added headers": _names((name for name, _ in route.added_fields), "no headers"),
        "identity headers": ", ".join(f"{name}={claim}" for name, claim in (route.identity_headers or {}).items())
        or "none",
        "request headers": _names(sorted(route.request_names), "only the default headers"),
        "response headers": _names(sorted(route.response_names), "only the default headers"),
        "cookies": _names(sorted(route.cookie_names), "none forwarded"),
        "caches": "shared caches may store what the upstream marks public"
        if route.allow_shared_cache
        else "shared caches store no response to a session",
        "websocket": f"yes, messages up to {route.message_limit} bytes" if route.websocket else "no",
        "streams": f"{route.on_token_expiry} when the access token expires; end with the session",
    }


def _names(names: Iterable[bytes], none: str) -> str:
    return ", ".join(name.decode("ascii") for name in names) or none


def _header(line: str) -> tuple[bytes, bytes]:
    """The header as a server passes it: lower-case name, value without surrounding white space."""
    name, _, value = line.encode("utf-8").partition(b":")
    return name.lower(), value.strip(b" \t")


def _disposition(settings: Settings, route: Route, name: bytes, hop_by_hop: bool) -> str:
    """What happens to a header, and the setting that changes it."""
    disposition = classify(name)
    if name in dict(route.added_fields):
        return "replaced by add_headers"
    if hop_by_hop:
        return "dropped: the Connection header lists it"
    if name in route.request_names:
        return "forwarded (allow_request_headers)"
    if disposition is Disposition.FORWARDED:
        return "forwarded"
    identity = [header for headers in settings.identity_headers.values() for header in headers]
    if name in dict(route.identity_fields):
        return "dropped: identity_headers sets it"
    if name == b"cookie":
        return "dropped, except for cookies that allow_cookies lists"
    if not may_be_allowed(name) or conflicting_name([name.decode("ascii")], identity) is not None:
        return "dropped: no route may forward it"
    why = "not forwarded" if disposition is Disposition.CONSUMED else "dropped"
    return f'''{why}; to forward it, add "{name.decode("ascii")}" to allow_request_headers of {route.prefix}'''


def _rejected(error: BffError) -> Explanation:
    return _refused(error.code, status_of(error), error.detail or error.title)


def _refused(code: str, status: int, why: str) -> Explanation:
    return Explanation(False, (f"refused: {status} {code}: {why}",))
