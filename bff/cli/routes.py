"""`bff routes` and `bff routes explain METHOD PATH`: show how a request would be handled.

Exit codes of `explain`: 0 the request would be forwarded; 1 it would be refused, and the reason is printed.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bff.config.request_headers import Disposition, classify, conflicting_name, may_be_allowed
from bff.config.routes import RouteSettings
from bff.config.settings import Settings
from bff.proxy.routes import Route
from bff.telemetry.redaction import escape

FORWARDED, NOT_FORWARDED = 0, 1

TOKEN: Final = {
    "user": "user: requires a session; forwards its access token",
    "user_or_none": "user_or_none: forwards the access token if there is a session",
    "none": "none: ignores the session; forwards no token",
}
CSRF: Final = {
    "header": "X-CSRF: 1, from the application's own origin or an allowed one",
    "fetch-metadata": "same-origin fetch metadata suffices for GET and HEAD; other methods need X-CSRF: 1",
}


def add_commands(routes: argparse.ArgumentParser, settings: Callable[[argparse.Namespace], Settings]) -> None:
    routes.set_defaults(command=lambda parsed: _list(settings(parsed)))
    commands = routes.add_subparsers(required=False, metavar="COMMAND")
    explain = commands.add_parser(
        "explain", help=("which route a request matches, what is validated, and what is forwarded")
    )
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("path", metavar="PATH")
    shown = "a request header to explain: whether it is forwarded (may be repeated; the value is not shown)"
    explain.add_argument("-H", dest="headers", metavar="NAME: VALUE", action="append", default=[], help=shown)
    explain.set_defaults(command=lambda parsed: _explain(settings(parsed), parsed.method, parsed.path, parsed.headers))
    # SUPPRESS: the subcommand's default would override a --config given before `explain`.
    for command, default in ((routes, None), (explain, argparse.SUPPRESS)):
        where = "path of bff.toml (default: BFF_CONFIG, then ./bff.toml)"
        command.add_argument("--config", type=Path, metavar="FILE", default=default, help=where)


def _list(settings: Settings) -> int:
    """Longest prefix first, the order in which routes are matched."""
    routes = sorted(settings.routes, key=lambda route: len(route.prefix), reverse=True)
    width = max((len(route.prefix) for route in routes), default=0)
    for route in routes:
        print(escape(f"{route.prefix:{width}}  {_goes_to(route)}  {_facts(route)}"))
    if settings.spa.upstream is not None:
        print(f"everything else goes to {settings.spa.upstream}, without a token (spa_upstream)")
    elif not routes:
        print("There are no routes.")
    return FORWARDED


def _goes_to(route: RouteSettings) -> str:
    return f"-> {route.upstream}{'' if route.strip_prefix else route.prefix}"


def _facts(route: RouteSettings) -> str:
    facts = [f"token {route.token}", f"csrf {route.csrf}", " ".join(route.methods)]
    if route.scopes:
        facts.append(f"scopes {' '.join(route.scopes)}")
    if route.websocket:
        facts.append("websocket")
    if route.ignore_case:
        facts.append("ignore_case")
    return ", ".join(facts)


def _explain(settings: Settings, method: str, path: str, sent: Sequence[str]) -> int:
    # Imported here: the other commands do not need the web framework.
    from bff.errors import BffError
    from bff.from_settings import route_table
    from bff.web.error_status import status_of
    from bff.web.middleware.request_guard import check_request

    raw_path, _, query = path.partition("?")
    headers = [_header(line) for line in sent]
    host = [] if any(name == b"host" for name, _ in headers) else [(b"host", b"app.example")]
    refusal = check_request(method, raw_path.encode("utf-8"), query.encode("utf-8"), [*host, *headers])
    if refusal is not None:
        return _refused(refusal.code, status_of(refusal), refusal.detail or refusal.title)
    if raw_path == "/auth" or raw_path.startswith("/auth/") or raw_path == settings.browser.callback_path:
        print("The BFF handles this path itself.")
        return NOT_FORWARDED
    table = route_table(settings)
    try:
        explained = table.explain(method, path)
    except BffError as error:
        if (meant := table.bypassed_route(raw_path.encode("ascii"))) is not None:
            print(escape(f"another server could match the path to {meant.prefix}, bypassing that route's rules"))
        return _refused(error.code, status_of(error), error.detail or error.title)
    route = explained.route
    if route is None:
        return _refused("route_not_found", 404, "no route matches this path")
    if not explained.method_allowed:
        return _refused("method_not_allowed", 405, f"{route.prefix} forwards {', '.join(route.methods)}")
    configured = next((candidate for candidate in settings.routes if candidate.prefix == route.prefix), None)
    lines = {
        "route": route.prefix if configured is not None else "/ (spa_upstream)",
        "upstream": f"{method} {route.upstream.scheme}://{route.upstream.authority}{explained.target}",
        "token": TOKEN[route.token],
        "csrf": CSRF[route.csrf] if route.carries_credentials else "none: neither token nor cookie is forwarded",
        "scopes": " ".join(sorted(route.scopes)) or "none asked for",
        "limits": ", ".join(
            [
                f"connect {route.connect_timeout:g} s",
                f"first byte {route.timeout:g} s",
                f"read {route.read_timeout:g} s",
                f"request body {route.request_limit} bytes" if route.request_limit else "request body without limit",
            ]
        ),
        "adds": ", ".join(name.decode("ascii") for name, _ in route.add_headers) or "no headers of its own",
        "lets up": ", ".join(sorted(name.decode("ascii") for name in route.allow_request_headers))
        or "nothing that is usually dropped",
        "lets back": ", ".join(sorted(name.decode("ascii") for name in route.allow_response_headers))
        or "nothing that is usually dropped",
        "cookies": ", ".join(sorted(name.decode("ascii") for name in route.allow_cookies)) or "none pass",
        "caches": "shared ones store what the upstream calls public"
        if route.allow_shared_cache
        else "no shared one stores an answer to a session",
        "websocket": f"yes, messages up to {route.message_limit} bytes" if route.websocket else "no",
        "streams": f"{route.on_token_expiry} when the access token runs out; they end with the session",
    }
    for name, text in lines.items():
        print(escape(f"{name:10} {text}"))
    connection = {
        option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    }
    for header, _ in headers:
        print(
            escape(
                f"header     {header.decode('latin-1')}: {_disposition(settings, route, header, header in connection)}"
            )
        )
    return FORWARDED


def _header(line: str) -> tuple[bytes, bytes]:
    """The header as a server passes it: lower-case name, value without surrounding white space."""
    name, _, value = line.encode("utf-8").partition(b":")
    return name.lower(), value.strip(b" \t")


def _disposition(settings: Settings, route: Route, name: bytes, hop_by_hop: bool) -> str:
    """What happens to a header, and the setting that changes it."""
    decided = classify(name)
    if name in dict(route.add_headers):
        return "replaced by add_headers"
    if hop_by_hop:
        return "dropped: the Connection header lists it"
    if name in route.allow_request_headers:
        return "forwarded (allow_request_headers)"
    if decided is Disposition.FORWARDED:
        return "forwarded"
    identity = [header for header, _ in settings.forward_auth.identity]
    if name == b"cookie":
        return "dropped, except for cookies that allow_cookies lists"
    if not may_be_allowed(name) or conflicting_name([name.decode("ascii")], identity) is not None:
        return "dropped: no route may forward it"
    why = "not forwarded" if decided is Disposition.CONSUMED else "dropped"
    return f'''{why}; to forward it, add "{name.decode("ascii")}" to allow_request_headers of {route.prefix}'''


def _refused(code: str, status: int, why: str) -> int:
    print(escape(f"refused    {status} {code}: {why}"))
    return NOT_FORWARDED
