"""Routes: what a `[[routes]]` table may say."""

import json
from typing import Any

import pytest

from bff.config.settings import load_settings
from bff.proxy.open_routes import route_table
from tests.harness.settings import problems, with_changes

ROUTE: dict[str, Any] = {"prefix": "/api", "upstream": "https://api.internal/v1"}


def with_routes(*routes: dict[str, Any]) -> dict[str, str]:
    return with_changes(routes=json.dumps(routes))


def test_a_route_needs_a_prefix_and_an_upstream_and_is_strict_by_default() -> None:
    (route,) = load_settings(with_routes(ROUTE)).routes
    assert (route.prefix, route.upstream) == ("/api", "https://api.internal/v1")
    assert (route.token, route.csrf, route.strip_prefix) == ("user", "header", False)
    assert route.methods == ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    assert (route.timeout, route.read_timeout, route.connect_timeout, route.request_limit) == (30, 60, 5, None)


def test_a_slash_after_the_upstream_makes_no_double_slash() -> None:
    (route,) = load_settings(with_routes({**ROUTE, "upstream": "https://api.internal/v1/"})).routes
    assert route.upstream == "https://api.internal/v1"


def test_a_route_requires_a_binding_only_of_sessions_that_are_offered_one() -> None:
    required = with_routes({**ROUTE, "device_bound": "required"})
    assert "requires device_bound at /api, and BFF_DEVICE_BOUND is off" in str(problems(required))
    assert load_settings({**required, "BFF_DEVICE_BOUND": "offer"}).routes[0].device_bound == "required"
    for token in ("none", "user_or_none"):
        other = with_routes({**ROUTE, "device_bound": "required", "token": token})
        assert f"token is {token}" in str(problems({**other, "BFF_DEVICE_BOUND": "enforce"}))


def test_the_bound_cookie_never_reaches_an_upstream() -> None:
    assert "__Host-bff-" in str(problems(with_routes({**ROUTE, "allow_cookies": ["__Host-bff-bound"]})))


INVALID: dict[str, list[dict[str, Any]]] = {  # key: changes
    "prefix": [
        {"prefix": prefix}
        for prefix in (
            *("api", "/", "/api/", "/api//v1", "/api/../x", "/%61pi", "/api/v1.", "/auth", "/Auth", "/auth/session"),
        )
    ],
    "upstream": [
        {"upstream": upstream}
        for upstream in (
            *("api.internal", "https://user:canary@api.internal", "https://api.internal?x=1"),
            *("https://api.internal/v1/../v2", "ftp://api.internal"),
        )
    ],
    "allow_http": [{"upstream": "http://api.internal"}],
    "methods": [{"methods": []}],
    "methods[0]": [{"methods": ["TRACE"]}],
    "methods[1]": [{"methods": ["GET", "CONNECT"]}],
    "token": [{"token": "client"}],
    "csrf": [{"csrf": "off"}],
    "timeout": [{"timeout": 0}, {"timeout": True}],
    "request_limit": [{"request_limit": 0}],
    "scopes": [{"scopes": ["email"], "token": "none"}],
    "scopes[0]": [{"scopes": 'e"mail'}],
    "message_limit": [{"message_limit": 0}, {"message_limit": 16 * 1024 * 1024 + 1}],
    "on_token_expiry": [{"on_token_expiry": "refresh"}],
    "websocket": [{"websocket": "wss"}],
    "add_headers": [
        *[
            {"add_headers": {name: "canary"}}
            for name in (
                *("Authorization", "cookie", "Host", "Content-Length", "transfer-encoding", "Connection"),
                *("X-Forwarded-For", "Sec-Fetch-Site", "proxy-authorization", "x y", ""),
            )
        ],
        *[{"add_headers": {"x-key": value}} for value in ("", " canary", "canary\r\nx: y", "caf\u00e9")],
        {"add_headers": {"x-key": "canary", "X-Key": "canary"}},
    ],
    "identity_headers": [
        *[
            {"identity_headers": {name: "sub"}}
            for name in (
                *("User", "X_User", "X-User-", "X--User", "X User", "", "Authorization", "Cookie", "Accept-User"),
                *("X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "X-Real-IP", "X-Request-ID", "X-CSRF"),
                *("X-Original-URL", "X-HTTP-Method-Override", "X-Accel-Redirect", "X-BFF-Assertion"),
            )
        ],
        *[{"identity_headers": {"X-User": claim}} for claim in ("", "given name", "caf\u00e9")],
        {"identity_headers": {"X-User": "sub", "x-user": "email"}},
        {"identity_headers": {"X-User": "sub"}, "token": "none"},
        {"identity_headers": {"X-User": "sub"}, "add_headers": {"x_user": "canary"}},
    ],
    "allow_request_headers": [{"add_headers": {"X-Key": "canary"}, "allow_request_headers": ["x-key"]}],
    "allow_request_headers[0]": [
        {"allow_request_headers": [name]}
        for name in (
            *("Authorization", "Cookie", "Host", "Connection", "Transfer-Encoding", "content-length", "X-CSRF"),
            *("X-Forwarded-For", "X-Forwarded-Anything", "Remote-User", "X_Tenant_Id", "X.Tenant", "Client-Cert"),
            *("X-HTTP-Method-Override", "X-Original-URL", "traceparent", "Sec-WebSocket-Key", "a b", ""),
        )
    ],
    "allow_response_headers[0]": [
        {"allow_response_headers": [name]}
        for name in (
            *("Set-Cookie", "Access-Control-Allow-Origin", "clear-site-data", "connection", "x-accel-buffering"),
            *("X-LiteSpeed-Location", "LSC-Cookie", "X-Reproxy-URL", "X-Lighttpd-Send-File", "X-Sendfile2"),
            *("Set-Login", "Secure-Session-Registration", "Sec-GPC", "Authorization", "Content-Length"),
        )
    ],
    "allow_cookies[0]": [
        {"allow_cookies": [name]}
        for name in ("__Host-Http-session", "__HOST-HTTP-x", "bff-session", "BFF-x", "a b", "a;b", "")
    ],
    "ca_file": [{"ca_file": "/nowhere.pem"}, {"ca_file": __file__, "upstream": "http://127.0.0.1:9"}],
    "client_cert_file": [{"client_cert_file": __file__, "upstream": "http://127.0.0.1:9"}],
    "client_key_file": [{"client_key_file": __file__}],
}


@pytest.mark.parametrize(("key", "change"), [(key, change) for key, bad in INVALID.items() for change in bad])
def test_an_invalid_route_is_reported_with_its_position_and_key(key: str, change: dict[str, Any]) -> None:
    reported = problems(with_routes({"prefix": "/ok", "upstream": "https://ok.internal"}, {**ROUTE, **change}))
    assert list(reported) == [f"BFF_ROUTES[1].{key}"]
    assert "canary" not in str(reported)


def test_an_unknown_key_gets_a_guess() -> None:
    reported = problems(with_routes({**ROUTE, "strip_prefx": True}))
    assert reported == {"BFF_ROUTES[0].strip_prefx": "is not a setting. Did you mean strip_prefix?"}


@pytest.mark.parametrize("upstream", ["http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000"])
def test_http_is_for_upstreams_on_this_machine(upstream: str) -> None:
    assert load_settings(with_routes({**ROUTE, "upstream": upstream})).routes[0].upstream == upstream


@pytest.mark.case("PX-077")
def test_http_to_another_machine_needs_allow_http() -> None:
    routes = load_settings(with_routes({**ROUTE, "upstream": "http://api.internal", "allow_http": True})).routes
    assert routes[0].upstream == "http://api.internal"


def test_two_equal_prefixes_are_refused_and_a_longer_one_is_not() -> None:
    longer = {**ROUTE, "prefix": "/api/reports"}
    assert len(load_settings(with_routes(ROUTE, longer)).routes) == 2
    assert list(problems(with_routes(ROUTE, longer, ROUTE))) == ["BFF_ROUTES"]


@pytest.mark.parametrize("prefix", ["/authorization-code", "/authorization-code/callback"])
def test_no_route_covers_the_callback(prefix: str) -> None:
    assert list(problems(with_routes({**ROUTE, "prefix": prefix}))) == ["BFF_ROUTES"]


def test_a_prefix_that_only_begins_like_ours_is_free() -> None:
    assert load_settings(with_routes({**ROUTE, "prefix": "/authors"})).routes[0].prefix == "/authors"


def test_what_a_route_allows_is_parsed_and_its_secrets_are_hidden() -> None:
    route = {
        **ROUTE,
        "scopes": "email profile email",
        "add_headers": {"X-Key": "canary"},
        "allow_request_headers": ["X-Tenant-Id", "Origin"],
        "allow_response_headers": ["Service-Worker-Allowed", "server"],
        "allow_cookies": "theme XSRF-TOKEN",
        "allow_shared_cache": True,
        "websocket": True,
    }
    settings = load_settings(with_routes(route))
    (read,) = settings.routes
    (used,) = route_table(settings).routes
    assert read.allow_shared_cache
    assert used.allow_shared_cache
    assert (read.scopes, read.websocket, read.message_limit) == (("email", "profile"), True, 1048576)
    assert read.allow_request_headers == ("x-tenant-id", "origin")
    assert read.allow_response_headers == ("service-worker-allowed", "server")
    assert read.allow_cookies == ("theme", "XSRF-TOKEN")
    assert "canary" not in repr(read)


def test_a_scope_that_no_sign_in_asks_for_is_refused() -> None:
    reported = problems(with_routes({**ROUTE, "scopes": ["orders"]}))
    assert list(reported) == ["BFF_ROUTES"]
    assert "orders" in reported["BFF_ROUTES"]


def test_routes_that_differ_in_letter_case_alone_cannot_ignore_it() -> None:
    other = {**ROUTE, "prefix": "/API"}
    assert len(load_settings(with_routes(ROUTE, other)).routes) == 2
    reported = problems(with_routes({**ROUTE, "ignore_case": True}, other))
    assert "in another case" in reported["BFF_ROUTES"]
    covers_the_callback = {**ROUTE, "prefix": "/Authorization-Code", "ignore_case": True}
    assert "covers the callback path" in problems(with_routes(covers_the_callback))["BFF_ROUTES"]


@pytest.mark.parametrize("name", ["X-Team-Name", "x-team-name"])
def test_no_route_forwards_an_identity_header_of_forward_auth(name: str) -> None:
    environ = with_routes({**ROUTE, "allow_request_headers": [name]})
    assert load_settings(environ).routes[0].allow_request_headers == ("x-team-name",)
    reported = problems({**environ, "BFF_FORWARD_AUTH_HEADERS": "X-Who=sub X-TEAM-Name=groups"})
    assert "BFF_FORWARD_AUTH_HEADERS uses as an identity header" in reported["BFF_ROUTES"]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_no_route_forwards_an_identity_header_of_any_route(elsewhere: bool) -> None:
    identity, forwarding = {"identity_headers": {"X-TEAM-Name": "groups"}}, {"allow_request_headers": ["x-team-name"]}
    routes = [{**ROUTE, **identity, **({} if elsewhere else forwarding)}]
    reported = problems(with_routes(*routes, {**ROUTE, "prefix": "/open", "token": "none", **forwarding}))
    assert "which identity_headers of /api uses" in reported["BFF_ROUTES"]


def test_identity_headers_need_claims_that_sessions_keep() -> None:
    environ = with_routes({**ROUTE, "identity_headers": {"X-User": "sub", "X-Department": "department"}})
    assert "department, which identity_headers of /api needs" in problems(environ)["BFF_USER_CLAIMS"]
    (route,) = load_settings({**environ, "BFF_USER_CLAIMS": "sub department"}).routes
    assert route.identity_fields == ((b"x-user", "sub"), (b"x-department", "department"))


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X--User", "X-Original-URI"])
def test_a_header_about_the_request_has_no_identity(name: str) -> None:
    reported = problems({**with_routes(ROUTE), "BFF_FORWARD_AUTH_HEADERS": f"{name}=sub"})
    assert list(reported) == ["BFF_FORWARD_AUTH_HEADERS[0]"]


def test_an_identity_header_is_not_one_that_browsers_send() -> None:
    reported = problems({**with_routes(ROUTE), "BFF_FORWARD_AUTH_HEADERS": "X-Requested-With=sub"})
    assert list(reported) == ["BFF_FORWARD_AUTH_HEADERS[0]"]
