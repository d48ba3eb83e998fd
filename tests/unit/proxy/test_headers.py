"""Header filtering in both directions."""

import logging
from typing import Any

import pytest

from bff.asgi.header_section import FACTS_LIMIT, HeaderSection
from bff.config.routes import Route
from bff.http1.response_parser import Header
from bff.proxy.headers import PublicOrigin, public_location, request_headers, response_headers
from bff.telemetry.metrics import REGISTRY
from tests.harness.routes import a_route

ORIGIN = PublicOrigin.parse("https://app.example")
TRACE: list[Header] = [(b"traceparent", b"ours")]


def with_options(**options: Any) -> Route:
    return a_route("/api", "http://api.internal:8080/v1", strip_prefix=True, **options)


ROUTE = with_options()
SHARED = with_options(allow_shared_cache=True)
COOKIES = with_options(allow_cookies=("theme", "XSRF-TOKEN"))


def up(
    *headers: Header, token: str | None = "our-token", route: Route = ROUTE, proof: bytes | None = None
) -> list[Header]:
    return request_headers(
        headers, route=route, origin=ORIGIN, client_address="203.0.113.9", token=token, trace=TRACE, proof=proof
    )


def down(*headers: Header, status: int = 200, authenticated: bool = True, route: Route = ROUTE) -> dict[bytes, bytes]:
    return dict(response_headers(status, headers, route=route, origin=ORIGIN, authenticated=authenticated))


# --- requests


def test_shared_headers_are_filtered_by_the_rules_of_each_route() -> None:
    fields = [(b"accept", b"*/*"), (b"x-tenant", b"a"), (b"x-other", b"b"), (b"connection", b"x-hop"), (b"x-hop", b"c")]
    section, counted = HeaderSection(fields), "bff_request_headers_dropped_total"
    listing = with_options(allow_request_headers=("X-Tenant", "X-Hop"))
    for route in (ROUTE, listing, ROUTE, listing):  # two applications may have a route of the same prefix
        before = REGISTRY.get_sample_value(counted, {"route": route.prefix}) or 0.0
        received = up(*fields, route=route)
        once = (REGISTRY.get_sample_value(counted, {"route": route.prefix}) or 0.0) - before
        shared = request_headers(
            section, route=route, origin=ORIGIN, client_address="203.0.113.9", token="our-token", trace=TRACE
        )
        twice = (REGISTRY.get_sample_value(counted, {"route": route.prefix}) or 0.0) - before
        assert (shared, twice) == (received, 2 * once)
        assert ((b"x-tenant", b"a") in shared) == (route is listing)


def test_the_memory_of_shared_headers_does_not_grow_with_the_number_of_routes() -> None:
    section = HeaderSection([(b"accept", b"*/*"), (b"x-tenant", b"a")])
    for number in range(40):
        route = a_route(f"/api/{number}", "http://api.internal:8080", allow_request_headers=("X-Tenant",))
        received = request_headers(
            section, route=route, origin=ORIGIN, client_address="203.0.113.9", token="our-token", trace=TRACE
        )
        assert (b"x-tenant", b"a") in received
    assert len(section.facts) <= FACTS_LIMIT


def test_an_upstream_receives_only_our_headers_for_an_empty_request() -> None:
    ours = {
        b"host": b"api.internal:8080",
        b"x-forwarded-for": b"203.0.113.9",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"app.example",
        b"traceparent": b"ours",
    }
    assert dict(up(token=None)) == ours
    assert dict(up()) == {**ours, b"authorization": b"Bearer our-token"}
    assert dict(up(proof=b"proof")) == {**ours, b"authorization": b"DPoP our-token", b"dpop": b"proof"}


@pytest.mark.case("PX-005", "PX-014", "PX-041")
@pytest.mark.parametrize("token", ["our-token", None])
def test_a_client_cannot_set_headers_of_intermediaries(token: str | None) -> None:
    names = b"""
        authorization forwarded host
        cookie x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-user x-forwarded-email
        x-forwarded-prefix x-real-ip true-client-ip cf-connecting-ip x-user x-auth-request-user
        x-auth-request-access-token remote-user x-remote-user x-http-method-override x-http-method
        x-method-override x-original-url x-rewrite-url x-csrf origin referer sec-fetch-site
        sec-websocket-key proxy-authorization proxy-connection keep-alive te trailer upgrade expect
        transfer-encoding content-length connection via x_forwarded_for x-ms-client-principal
        x-amzn-oidc-data x-middleware-subrequest x-accel-redirect traceparent tracestate baggage
        x-user-sub client-cert client-cert-chain x-hasura-role x-hasura-admin-secret iv-user iv-groups sm-user
        sm-universalid oidc-claim-sub oidc_claim_email kubeflow-userid impersonate-user impersonate-group
        impersonate-extra-scopes x-scope-orgid x-script-name x-tenant-id b3 x-b3-traceid x-b3-sampled
        x.user.sub x_user_sub x-user_sub x.forwarded.for accept_language accept.language content_type
        content_length content.length if_match user_agent x_requested_with x-anything-new
        early-data sec-ch-ua sec-gpc upgrade-insecure-requests
    """.split()
    passed = [name for name in names if (name, b"forged") in up((name, b"forged"), token=token)]
    assert passed == []
    assert b"forged" not in dict(up(*((name, b"forged") for name in names), token=token)).values()


def test_what_a_client_may_send_arrives_unchanged_and_in_order() -> None:
    names = b"""
        accept accept-language accept-encoding content-type content-encoding content-disposition content-range
        user-agent if-none-match if-match if-modified-since if-unmodified-since if-range range x-request-id
        x-requested-with idempotency-key last-event-id prefer priority cache-control pragma accept
    """.split()
    sent = [(name, b"caf\xe9 %d" % number) for number, name in enumerate(names)]
    assert up(*sent)[-len(sent) :] == sent


@pytest.mark.case("PX-002")
def test_a_header_that_the_client_declares_hop_by_hop_is_dropped() -> None:
    for route in (with_options(allow_request_headers=("x-inner",)), ROUTE):
        fields = [(b"connection", b"close, X-Inner, Prefer"), (b"x-inner", b"1"), (b"prefer", b"1"), (b"range", b"1")]
        names = dict(up(*fields, route=route))
        assert not names.keys() & {b"x-inner", b"prefer"}
        assert names[b"range"] == b"1"


def test_a_request_header_that_the_route_lists_passes_in_that_spelling_only() -> None:
    route = with_options(allow_request_headers=("x-tenant-id",))
    sent = [(name, b"1") for name in (b"x-tenant-id", b"x_tenant_id", b"x.tenant.id", b"x-tenant_id", b"x-tenant-ids")]
    assert [name for name, value in up(*sent, route=route) if value == b"1"] == [b"x-tenant-id"]


def test_dropped_headers_are_counted_by_route_except_those_of_every_browser(caplog: pytest.LogCaptureFixture) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("bff_request_headers_dropped_total", {"route": "/counted"}) or 0

    caplog.set_level(logging.DEBUG, "bff.proxy.headers")
    route = a_route("/counted", allow_request_headers=("x-tenant-id",))
    before = count()
    usual = b"host cookie origin referer sec-fetch-site x-csrf x-forwarded-for x-real-ip via accept x-tenant-id".split()
    up(*((name, b"1") for name in usual), route=route)
    assert count() == before
    up((b"x-user-sub", b"root"), (b"b3", b"0"), (b"x_csrf", b"1"), route=route)
    assert count() == before + 3
    assert [vars(record)["header"] for record in caplog.records] == ["x-user-sub", "b3", "x_csrf"]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ([b"theme=dark; bff-session=x; __Host-Http-session=y; XSRF-TOKEN=1"], [b"theme=dark; XSRF-TOKEN=1"]),
        ([b"a=1", b"theme=dark"], [b"theme=dark"]),
        ([b"Theme=dark; theme2=x; xtheme=y; \x85theme=z; \xa0theme=w"], []),
        ([b"theme"], []),
        ([b"theme=a=b;theme=c"], [b"theme=a=b; theme=c"]),
        ([b"theme =a;\ttheme\t=b"], [b"theme =a; theme\t=b"]),
        ([b"bff-session=x"], []),
    ],
)
@pytest.mark.case("PX-007")
def test_only_listed_cookies_reach_the_upstream(sent: list[bytes], received: list[bytes]) -> None:
    fields = [(b"cookie", line) for line in sent]
    assert [value for name, value in up(*fields, route=COOKIES) if name == b"cookie"] == received
    assert b"cookie" not in dict(up(*fields))


def test_an_added_header_replaces_the_clients() -> None:
    route = with_options(add_headers={"X-Api-Key": "ours", "User-Agent": "bff"})
    found = up((b"x-api-key", b"theirs"), (b"user-agent", b"curl"), (b"accept", b"*/*"), route=route)
    assert [value for name, value in found if name in (b"x-api-key", b"user-agent")] == [b"ours", b"bff"]
    assert (b"accept", b"*/*") in found
    assert dict(found)[b"authorization"] == b"Bearer our-token"
    assert "ours" not in repr(route)


IDENTITY = with_options(identity_headers={"X-User-Sub": "sub", "X-Forwarded-Email": "email"})


@pytest.mark.parametrize("claims", [{"sub": "00u1", "email": "zoë@example.com"}, {"sub": "00u1"}, None])
def test_identity_headers_are_the_sessions_and_never_the_clients(claims: dict[str, Any] | None) -> None:
    names = b"x-user-sub x_user_sub x.user.sub x-user_sub x-forwarded-email x_forwarded_email X-User-Sub".split()
    forged = [(b"connection", b"x-user-sub"), *((name, b"root") for name in names)]
    found = request_headers(
        forged,
        route=IDENTITY,
        origin=ORIGIN,
        client_address="203.0.113.9",
        token="t",
        trace=TRACE,
        claim_of=claims and claims.get,
    )
    expected: list[Header] = [] if claims is None else [(b"x-user-sub", b"00u1")]
    if claims is not None and "email" in claims:
        expected.append((b"x-forwarded-email", b"zo%C3%AB@example.com"))
    assert [field for field in found if field[0].lower().replace(b"_", b"-").replace(b".", b"-") in names] == expected


# --- responses


@pytest.mark.case("PX-083", "PX-092")
def test_an_upstream_cannot_set_headers_that_are_not_its_own_to_set() -> None:
    names = b"""
        www-authenticate server x-powered-by via x-aspnet-version
        set-cookie connection keep-alive transfer-encoding upgrade trailer proxy-authenticate alt-svc
        clear-site-data strict-transport-security access-control-allow-origin
        access-control-allow-credentials x-accel-redirect refresh x-sendfile service-worker-allowed
        x-accel-expires x-sendfile2 x-sendfile-type x-litespeed-location x-litespeed-cache-control lsc-cookie
        x-lsadc-cache-control x-reproxy-url x-reproxy-file x-reproxy-cache-for x-lighttpd-send-file
        x-lighttpd-send-tempfile x-envoy-upstream-service-time
        set-login idp-signin-status activate-storage-access secure-session-registration secure-session-challenge
        sec-session-registration sec-session-challenge sec-gpc attribution-reporting-register-source
        attribution-reporting-register-trigger observe-browsing-topics use-as-dictionary accept-ch critical-ch
        origin-agent-cluster supports-loading-mode speculation-rules shared-storage-write ad-auction-signals
        timing-allow-origin authorization x-forwarded-access-token
    """.split()
    assert [name for name in names if name in down((name, b"inside"), status=401)] == []


def test_other_headers_reach_the_browser_repeated_and_in_order() -> None:
    sent: list[Header] = [(b"link", b"a"), (b"etag", b'"1"'), (b"link", b"b\tc"), (b"x-mine", b"caf\xe9")]
    headers = response_headers(200, sent, route=ROUTE, origin=ORIGIN, authenticated=False)
    assert headers == [(b"x-content-type-options", b"nosniff"), *sent]


@pytest.mark.parametrize("octet", [b"\0", b"\n", b"\r", b"\x08", b"\x1f", b"\x7f"])
def test_a_response_header_with_a_control_character_is_dropped_alone(octet: bytes) -> None:
    found = down((b"x-bad", b"a" + octet + b"b"), (b"x-good", b"1"))
    assert b"x-bad" not in found
    assert found[b"x-good"] == b"1"


LENGTH: Header = (b"content-length", b"5")
PUBLIC: Header = (b"cache-control", b"public, s-maxage=60")
CORP = b"cross-origin-resource-policy"
PLAIN = PublicOrigin.parse("http://localhost:8080")
LISTED = with_options(allow_response_headers=("server", "service-worker-allowed"))


@pytest.mark.parametrize(
    ("sent", "options", "name", "received"),
    [
        ([(b"connection", b"close, X-Inner"), (b"x-inner", b"1")], {}, b"x-inner", []),
        ([(b"server", b"x")], {"route": LISTED}, b"server", [b"x"]),
        ([(b"service-worker-allowed", b"/")], {"route": LISTED}, b"service-worker-allowed", [b"/"]),
        ([(b"via", b"y")], {"route": LISTED}, b"via", []),
        ([(b"connection", b"server"), (b"server", b"x")], {"route": LISTED}, b"server", []),
        ([(b"x-content-type-options", b"none of your business")], {}, b"x-content-type-options", [b"nosniff"]),
        ([], {}, b"cache-control", [b"no-store"]),
        ([PUBLIC], {}, b"cache-control", [b"private"]),
        ([PUBLIC], {"route": SHARED}, b"cache-control", [PUBLIC[1]]),
        ([PUBLIC], {"authenticated": False}, b"cache-control", [PUBLIC[1]]),
        ([], {"authenticated": False}, b"cache-control", []),
        ([(PUBLIC[0], b"max-age=6"), (PUBLIC[0], b"private")], {}, b"cache-control", [b"max-age=6,private"]),
        ([], {}, CORP, [b"same-origin"]),
        ([(CORP, b"cross-origin")], {}, CORP, [b"cross-origin"]),
        ([], {"authenticated": False}, CORP, []),
        ([LENGTH], {}, LENGTH[0], [b"5"]),
        ([LENGTH], {"status": 304}, LENGTH[0], []),
        ([LENGTH], {"status": 204}, LENGTH[0], []),
        ([LENGTH, (b"transfer-encoding", b"chunked")], {}, LENGTH[0], []),
        ([(b"set-cookie", b"theme=1")], {"route": COOKIES, "origin": PLAIN}, b"set-cookie", [b"theme=1"]),
    ],
)
def test_a_header_of_a_response_depends_on_route_status_and_session(
    sent: list[Header], options: dict[str, Any], name: bytes, received: list[bytes]
) -> None:
    given = {"status": 200, "route": ROUTE, "origin": ORIGIN, "authenticated": True, **options}
    found = response_headers(given.pop("status"), sent, **given)
    assert [value for other, value in found if other == name] == received


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"theme=light; Path=/; HttpOnly", b"theme=light; Path=/; HttpOnly; Secure"),
        (b"theme=light; secure", b"theme=light; secure"),
        (b"theme=light; Domain=app.example; Path=/", b"theme=light; Path=/; Secure"),
        (b"theme=light;DOMAIN = .example", b"theme=light; Secure"),
        (b" theme =light", b" theme =light; Secure"),
        (b"__Host-Http-session=evil", None),
        (b"bff-session=evil", None),
        (b"Theme=x", None),
        (b"=theme=x", None),
        (b"theme", None),
        (b"theme\x00=x", None),
        (b"\x85theme=x", None),
        (b"other=1; theme=2", None),
    ],
)
@pytest.mark.case("PX-058", "PX-059")
def test_only_listed_cookies_reach_the_browser_and_for_this_host_only(sent: bytes, received: bytes | None) -> None:
    assert down((b"set-cookie", sent), route=COOKIES).get(b"set-cookie") == received
    assert b"set-cookie" not in down((b"set-cookie", sent))


def test_headers_for_shared_caches_need_the_route_as_well() -> None:
    for name in b"""
        cdn-cache-control cloudflare-cdn-cache-control netlify-cdn-cache-control surrogate-control surrogate-key
        edge-control cf-edge-cache
    """.split():
        sent = (name, b"public, max-age=600")
        assert name not in down(sent)
        assert down(sent, route=SHARED)[name] == sent[1]
        assert down(sent, authenticated=False)[name] == sent[1]


@pytest.mark.parametrize(
    ("location", "public"),
    [
        ("/v1/items/1?x=1#y", "/api/items/1?x=1#y"),
        ("http://api.internal:8080/v1/items/1", "/api/items/1"),
        ("//api.internal:8080/v1/items/1", "/api/items/1"),
        ("HTTP://API.internal:8080/v1/items/1", "/api/items/1"),
        ("items/2", "items/2"),
        ("?page=2", "?page=2"),
        ("", ""),
        ("https://app.example/page", "https://app.example/page"),
        ("http://app.example/page", None),
        ("https://cdn.example/file?sig=1", "https://cdn.example/file?sig=1"),
        ("/admin", None),
        ("/v1x/items", None),
        ("/v1//evil.test/x", "/api//evil.test/x"),
        ("http://api.internal:8080/admin", None),
        ("http://api.internal:9/v1/x", None),
        ("http://api.internal/v1/x", None),
        ("https://api.internal/v1/x", None),
        ("https://api.internal:8080/v1/x", "/api/x"),
        ("http://169.254.169.254/latest", None),
        ("//other.internal/x", None),
        ("https://user@cdn.example/x", None),
        ("https:cdn.example", None),
        ("javascript:alert(1)", None),
        ("/v1/\\evil", None),
        ("/v1/a b", None),
        ("/v1/caf\xe9", None),
        ("http://[broken/x", None),
        ("http://api.internal:99999/v1/x", None),
    ],
)
@pytest.mark.case("PX-064")
def test_a_location_reveals_no_internal_address(location: str, public: str | None) -> None:
    expected = public.encode() if public is not None else None
    assert public_location(location.encode("latin-1"), route=ROUTE, origin=ORIGIN) == expected
    for name in (b"location", b"content-location"):
        assert down((name, location.encode("latin-1"))).get(name) == expected


def test_an_upstream_on_a_default_port_recognizes_its_own_locations() -> None:
    for scheme in ("http", "https"):
        route = a_route("/api", f"{scheme}://api.internal", strip_prefix=True)
        for authority in ("api.internal", f"api.internal:{443 if scheme == 'https' else 80}"):
            location = f"{scheme}://{authority}/x".encode()
            assert public_location(location, route=route, origin=ORIGIN) == b"/api/x"
        assert public_location(f"{scheme}://api.internal".encode(), route=route, origin=ORIGIN) == b"/api/"
        assert public_location(b"//api.internal/x", route=route, origin=ORIGIN) == b"/api/x"
