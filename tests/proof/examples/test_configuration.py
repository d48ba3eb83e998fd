"""What can be checked of the examples without running them: names, options and headers."""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain, product
from typing import Any

import pytest
import yaml

from bff.asgi.forwarded import HEADER
from bff.config.browser import SESSION_EVENTS
from bff.config.section import leaves
from bff.config.settings import Settings
from bff.web.auth.session_events import EventStreamLimits
from tests.proof.examples.proxies import EXAMPLES, settings_of

TRAEFIK = EXAMPLES / "traefik"
STATIC = tomllib.loads((TRAEFIK / "traefik.toml").read_text("utf-8"))
DYNAMIC = {mode: tomllib.loads((TRAEFIK / f"{mode}.toml").read_text("utf-8")) for mode in ("proxy", "forward-auth")}
MODES = pytest.mark.parametrize("mode", DYNAMIC)

# From Traefik's reference of the dynamic configuration, those that are used here. `*` is a name of one's own.
OPTIONS = {
    *(f"http.routers.*.{name}" for name in ("rule", "priority", "entryPoints", "middlewares", "service", "tls")),
    *(f"http.middlewares.*.forwardAuth.{name}" for name in ("address", "authResponseHeaders")),
    "http.middlewares.*.buffering.maxRequestBodyBytes",
    "http.middlewares.*.retry.attempts",
    *(f"http.services.*.loadBalancer.healthCheck.{name}" for name in ("path", "interval", "timeout")),
    *(f"http.middlewares.*.headers.{name}.*" for name in ("customRequestHeaders", "customResponseHeaders")),
    *(f"http.middlewares.*.headers.{name}" for name in ("stsSeconds", "contentTypeNosniff", "contentSecurityPolicy")),
    *("http.services.*.loadBalancer.serversTransport", "http.services.*.loadBalancer.servers.url"),
    *(
        f"http.serversTransports.*.forwardingTimeouts.{name}"
        for name in ("dialTimeout", "responseHeaderTimeout", "idleConnTimeout")
    ),
    *("tls.certificates.certFile", "tls.certificates.keyFile", "tls.options.*.minVersion"),
}
STATIC_OPTIONS = {
    "entryPoints.*.address",
    *(f"entryPoints.*.http.redirections.entryPoint.{name}" for name in ("to", "scheme", "permanent")),
    "entryPoints.*.transport.respondingTimeouts.readTimeout",
    "providers.file.filename",
}
NAMED = re.compile(
    r"^(http\.(?:routers|middlewares|services|serversTransports)|entryPoints|tls\.options)\.[^.]+"
    r"|(\.custom(?:Request|Response)Headers)\.[^.]+"
)


def options(table: Any, path: str = "") -> Iterator[str]:
    """The path of every value, with `*` for names of one's own."""
    if isinstance(table, dict) and table:
        for key, value in table.items():
            key = key.replace(".", "_")  # the names of some headers, which are names of one's own
            yield from options(value, f"{path}.{key}" if path else key)
    elif isinstance(table, list) and table and isinstance(table[0], dict):
        for each in table:
            yield from options(each, path)
    else:
        yield NAMED.sub(lambda found: f"{found[1] or found[2]}.*", path)


def identity_headers() -> list[str]:
    return [pair.partition("=")[0] for pair in settings_of("forward-auth")["BFF_FORWARD_AUTH_HEADERS"].split()]


def spellings(name: str) -> set[str]:
    """All names that some API reads as this one: CGI and WSGI make one sign of hyphen, underscore and dot."""
    first, *rest = name.split("-")
    return {first + "".join(tail) for tail in product(*([separator + part for separator in "-_."] for part in rest))}


@MODES
def test_traefik_every_option_is_one_of_its_reference(mode: str) -> None:
    assert set(options(DYNAMIC[mode])) - OPTIONS == set()
    assert set(options(STATIC)) - STATIC_OPTIONS == set()


@MODES
def test_traefik_every_name_that_is_used_is_defined_and_none_is_left_over(mode: str) -> None:
    http = DYNAMIC[mode]["http"]
    routers = http["routers"].values()
    assert {name for router in routers for name in router["middlewares"]} == set(http["middlewares"])
    assert {router["service"] for router in routers} == set(http["services"])
    assert {name for router in routers for name in router["entryPoints"]} <= set(STATIC["entryPoints"])
    balancers = [service["loadBalancer"] for service in http["services"].values()]
    assert {each["serversTransport"] for each in balancers if "serversTransport" in each} == set(
        http["serversTransports"]
    )
    assert STATIC["entryPoints"]["web"]["http"]["redirections"]["entryPoint"]["to"] in STATIC["entryPoints"]


@MODES
def test_traefik_every_router_is_behind_tls_and_bound_to_the_host(mode: str) -> None:
    for router in DYNAMIC[mode]["http"]["routers"].values():
        assert (router["entryPoints"], router["tls"]) == (["websecure"], {})
        assert router["rule"].startswith("Host(`app.example.com`)")


def test_traefik_has_no_route_to_the_port_that_returns_tokens() -> None:
    services = DYNAMIC["forward-auth"]["http"]["services"].values()
    urls = {server["url"] for service in services for server in service["loadBalancer"]["servers"]}
    assert not [url for url in urls if url.endswith(":8081")]
    assert "http://bff:8080" in urls


def test_traefik_strips_first_then_asks_then_takes_the_cookie_away() -> None:
    http = DYNAMIC["forward-auth"]["http"]
    protected = [router["middlewares"] for name, router in http["routers"].items() if name in ("api", "reports")]
    for middlewares in protected:
        assert middlewares[1:4] == ["client-claims", "signed-in", "cookies"]
    asked = http["middlewares"]["signed-in"]["forwardAuth"]["authResponseHeaders"]
    assert asked == ["Authorization", *identity_headers()]
    stripped = http["middlewares"]["client-claims"]["headers"]["customRequestHeaders"]
    assert {*asked, *chain.from_iterable(spellings(name) for name in identity_headers())} <= stripped.keys()
    assert set(stripped.values()) == {""}
    assert http["middlewares"]["cookies"]["headers"]["customRequestHeaders"] == {"Cookie": ""}


def test_envoy_copies_the_headers_of_the_settings_and_asks_with_what_is_judged() -> None:
    text = (EXAMPLES / "envoy" / "forward-auth.yaml").read_text("utf-8")
    snippet = yaml.safe_load(text)
    strip, ask, cookie, _ = (each["typed_config"] for each in snippet["http_filters"])
    copied = [
        each["exact"] for each in ask["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
    ]
    assert copied == ["authorization", *(name.lower() for name in identity_headers())]
    removed = {each["remove"] for each in strip["mutations"]["request_mutations"]}
    assert {*copied, *chain.from_iterable(spellings(name.lower()) for name in identity_headers())} <= removed
    assert cookie["mutations"]["request_mutations"] == [{"remove": "cookie"}]
    sent = {value for each in ask["allowed_headers"]["patterns"] for value in each.values()}
    assert {"cookie", "origin", "x-csrf", "sec-fetch-"} <= sent
    assert ask["http_service"]["server_uri"]["cluster"] in {cluster["name"] for cluster in snippet["clusters"]}
    assert ask["failure_mode_allow"] is False


def test_no_proxy_holds_session_events_back() -> None:
    for mode, dynamic in DYNAMIC.items():
        routers = dynamic["http"]["routers"]
        [events] = [each for each in routers.values() if SESSION_EVENTS in each["rule"]]
        assert events["middlewares"] == ["https-only", "retry"], mode
        others = max(len(each["rule"]) for each in routers.values())  # a router's priority unless it has one
        assert events["priority"] > others
    routes = yaml.safe_load((EXAMPLES / "envoy" / "forward-auth.yaml").read_text("utf-8"))["routes"]
    assert (routes[0]["match"], routes[0]["route"]["timeout"]) == ({"path": SESSION_EVENTS}, "0s")
    for path in sorted((EXAMPLES / "nginx").glob("*.conf")):  # `X-Accel-Buffering` does the rest
        for seconds in re.findall(r"proxy_read_timeout (\d+)s;", path.read_text("utf-8")):
            assert int(seconds) >= 2 * EventStreamLimits().heartbeat, path


def test_no_proxy_lets_an_api_say_that_a_request_was_not_forwarded() -> None:
    name = HEADER.decode()
    nginx = (EXAMPLES / "nginx" / "forward-auth.conf").read_text("utf-8").lower()
    caddy = (EXAMPLES / "caddy" / "forward-auth.Caddyfile").read_text("utf-8").lower()
    envoy = yaml.safe_load((EXAMPLES / "envoy" / "forward-auth.yaml").read_text("utf-8"))["http_filters"][2]
    traefik = DYNAMIC["forward-auth"]["http"]["middlewares"]["cookies"]["headers"]["customResponseHeaders"]
    assert (f"proxy_hide_header {name};" in nginx, f"header_down -{name}\n" in caddy) == (True, True)
    assert envoy["typed_config"]["mutations"]["response_mutations"] == [{"remove": name}]
    assert {key.lower(): value for key, value in traefik.items()} == {name: ""}


@MODES
def test_every_setting_of_an_example_exists(mode: Any) -> None:
    known = {f"BFF_{name.upper()}" for name in leaves(Settings)}
    assert {name.removesuffix("_FILE") for name in settings_of(mode)} <= known


def test_nginx_and_caddy_copy_the_headers_of_the_settings() -> None:
    wanted = ["Authorization", *identity_headers()]
    caddy = (EXAMPLES / "caddy" / "forward-auth.Caddyfile").read_text("utf-8")
    assert f"copy_headers {' '.join(wanted)}\n" in caddy
    nginx = (EXAMPLES / "nginx" / "forward-auth.conf").read_text("utf-8")
    for name in wanted:
        assert f"$upstream_http_{name.lower().replace('-', '_')};" in nginx
        assert f"proxy_set_header {name} $" in nginx


def test_the_sign_in_takes_small_bodies_only_and_the_api_any() -> None:
    for mode, dynamic in DYNAMIC.items():
        http = dynamic["http"]
        assert http["middlewares"]["small-bodies"]["buffering"] == {"maxRequestBodyBytes": 32768}
        small = {name for name, router in http["routers"].items() if "small-bodies" in router["middlewares"]}
        assert small == {"sign-in" if mode == "proxy" else "bff"}
        assert [router["rule"] for name, router in http["routers"].items() if name in small] == [
            "Host(`app.example.com`) && (PathPrefix(`/auth/`) || Path(`/authorization-code/callback`))"
        ]
    snippet = yaml.safe_load((EXAMPLES / "envoy" / "forward-auth.yaml").read_text("utf-8"))
    names = [each["name"] for each in snippet["http_filters"]]
    assert snippet["http_filters"][names.index("envoy.filters.http.buffer")]["disabled"] is True
    assert [route["match"] for route in snippet["routes"]] == [
        {"path": SESSION_EVENTS},
        {"prefix": "/auth/"},
        {"path": "/authorization-code/callback"},
    ]
    for route in snippet["routes"]:
        assert route["typed_per_filter_config"].keys() == {"envoy.filters.http.ext_authz", "envoy.filters.http.buffer"}
        assert route["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"] == {"max_request_bytes": 32768}


def test_every_proxy_gives_up_on_a_replica_that_hangs() -> None:
    for dynamic in DYNAMIC.values():
        http = dynamic["http"]
        assert http["serversTransports"]["bff"]["forwardingTimeouts"]["responseHeaderTimeout"] == "40s"
        assert http["services"]["bff"]["loadBalancer"]["healthCheck"]["path"] == "/auth/session"
        to_bff = [router for router in http["routers"].values() if router["service"] == "bff"]
        assert all("retry" in router["middlewares"] for router in to_bff)
    snippet = yaml.safe_load((EXAMPLES / "envoy" / "forward-auth.yaml").read_text("utf-8"))
    for cluster in snippet["clusters"]:
        assert cluster["lb_policy"] == "LEAST_REQUEST"
        assert cluster["outlier_detection"]["enforcing_consecutive_5xx"] == 0
    for route in snippet["routes"]:
        assert route["route"]["timeout"] == ("0s" if route["match"] == {"path": SESSION_EVENTS} else "30s")
        assert "5xx" not in route["route"]["retry_policy"]["retry_on"]
    for path in EXAMPLES.rglob("*Caddyfile"):
        text = path.read_text("utf-8")
        avoiding = text.count("health_uri ") + text.count("lb_policy least_conn")
        assert avoiding == text.count("response_header_timeout") == text.count("dial_timeout")
    for path in EXAMPLES.rglob("*.conf"):
        text = path.read_text("utf-8")
        assert re.findall(r"proxy_next_upstream ([\w ]+);", text) == ["error timeout"]
        assert "proxy_buffer_size 16k;" in text
        assert re.search(r"(?m)^worker_shutdown_timeout 2s;", text)
