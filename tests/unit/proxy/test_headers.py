"""Header hygiene in both directions, and whose address the client's is."""

from typing import Any

import pytest

from bff.config.routes import Route
from bff.proxy.client_address import TrustedProxies
from bff.proxy.headers import Header, PublicOrigin, public_location, request_headers, response_headers
from bff.telemetry.metrics import REGISTRY
from tests.harness.routes import a_route

ORIGIN = PublicOrigin.parse("https://app.example")
TRACE: list[Header] = [(b"traceparent", b"ours")]
ROUTE = a_route("/api", "http://api.internal:8080/v1", strip_prefix=True)


def with_options(**options: Any) -> Route:
    """ROUTE, and these settings too."""
    return a_route("/api", "http://api.internal:8080/v1", strip_prefix=True, **options)


SHARED = with_options(allow_shared_cache=True)


def up(*headers: Header, token: str | None = "our-token", route: Route = ROUTE) -> list[Header]:
    return request_headers(headers, route=route, origin=ORIGIN, client_address="203.0.113.9", token=token, trace=TRACE)


def down(*headers: Header, status: int = 200, authenticated: bool = True, route: Route = ROUTE) -> dict[bytes, bytes]:
    return dict(response_headers(status, headers, route=route, origin=ORIGIN, authenticated=authenticated))


def test_ours_are_all_that_an_upstream_hears_of_an_empty_request() -> None:
    assert dict(up()) == {
        b"host": b"api.internal:8080",
        b"authorization": b"Bearer our-token",
        b"x-forwarded-for": b"203.0.113.9",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"app.example",
        b"traceparent": b"ours",
    }
    assert b"authorization" not in dict(up(token=None))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"authorization", id="PX-005"),
        pytest.param(b"forwarded", id="PX-014"),
        pytest.param(b"host", id="PX-041"),
        *b"""
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
        """.split(),
    ],
)
@pytest.mark.parametrize("token", ["our-token", None])
def test_what_a_client_may_not_say_to_an_upstream_is_dropped(name: bytes, token: str | None) -> None:
    assert not [value for _, value in up((name, b"of-the-client"), token=token) if value == b"of-the-client"]


@pytest.mark.parametrize(
    "name",
    b"""
    accept accept-language accept-encoding content-type content-encoding content-disposition content-range user-agent
    if-none-match if-match if-modified-since if-unmodified-since if-range range x-request-id x-requested-with
    idempotency-key last-event-id prefer priority cache-control pragma
    """.split(),
)
def test_what_a_client_may_say_arrives_unchanged(name: bytes) -> None:
    assert (name, b"caf\xe9 1") in up((name, b"caf\xe9 1"))


@pytest.mark.case("PX-002")
def test_a_field_that_the_client_made_hop_by_hop_is_dropped() -> None:
    for route in (with_options(allow_request_headers=("x-inner",)), ROUTE):
        fields = [(b"connection", b"close, X-Inner, Prefer"), (b"x-inner", b"1"), (b"prefer", b"1"), (b"range", b"1")]
        names = dict(up(*fields, route=route))
        assert not names.keys() & {b"x-inner", b"prefer"}
        assert b"range" in names


def test_a_header_that_the_route_lists_goes_up_in_that_one_spelling() -> None:
    route = with_options(allow_request_headers=("x-tenant-id",))
    sent = [(name, b"1") for name in (b"x-tenant-id", b"x_tenant_id", b"x.tenant.id", b"x-tenant_id", b"x-tenant-ids")]
    assert [name for name, value in up(*sent, route=route) if value == b"1"] == [b"x-tenant-id"]


def test_what_is_dropped_is_counted_by_route_and_what_every_browser_sends_is_not() -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("bff_request_headers_dropped_total", {"route": "/counted"}) or 0

    route = a_route("/counted", allow_request_headers=("x-tenant-id",))
    before = count()
    usual = b"host cookie origin referer sec-fetch-site x-csrf x-forwarded-for x-real-ip via accept x-tenant-id".split()
    up(*((name, b"1") for name in usual), route=route)
    assert count() == before
    up((b"x-user-sub", b"root"), (b"b3", b"0"), (b"x_csrf", b"1"), route=route)
    assert count() == before + 3


def test_repeated_headers_stay_repeated_and_in_order() -> None:
    sent: list[Header] = [(b"accept", b"a"), (b"prefer", b"1"), (b"accept", b"b")]
    assert up(*sent)[-3:] == sent


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"www-authenticate", id="PX-083"),
        *(
            pytest.param(name.encode(), id=f"PX-092-{name}")
            for name in ("server", "x-powered-by", "via", "x-aspnet-version")
        ),
        *b"""
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
        """.split(),
    ],
)
def test_what_an_upstream_may_not_say_to_a_browser_is_dropped(name: bytes) -> None:
    assert name not in down((name, b"inside"), status=401)


def test_a_field_that_the_upstream_made_hop_by_hop_is_dropped() -> None:
    assert b"x-inner" not in down((b"connection", b"close, X-Inner"), (b"x-inner", b"1"))


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (None, b"no-store"),
        (b"", b"no-store"),
        (b"private, max-age=5", b"private, max-age=5"),
        (b"no-store", b"no-store"),
        # The upstream knows that no shared cache stores an answer to Authorization. The browser sent a cookie.
        (b"max-age=60", b"max-age=60, private"),
        (b"no-cache", b"no-cache, private"),
        (b"max-age=60, must-revalidate", b"max-age=60, must-revalidate, private"),
        # That the answer is everybody's is the route's to allow.
        (b"Public, max-age=60", b"max-age=60, private"),
        (b"s-maxage=60", b"private"),
        (b"PUBLIC", b"private"),
        (
            b"max-age=60,s-maxage=600 , Immutable,public",
            b"max-age=60, Immutable, private",
        ),
        (b"private, public, max-age=5", b"private, max-age=5"),
        (b"no-store, s-maxage=5", b"no-store"),
        (b'public="x", max-age=5', b"max-age=5, private"),
        # Said of one field, and the rest is free to be stored.
        (b'private="set-cookie", max-age=5', b'private="set-cookie", max-age=5, private'),
        (b'max-age=5, x="private, no-store"', b'max-age=5, x="private, no-store", private'),
        # Not to be read: some reader finds a `public` in it.
        (b"public max-age=60", b"no-store"),
        (b"max-age=60; public", b"no-store"),
        (b'max-age=60, x="public', b"no-store"),
        (b"max-age = 60", b"no-store"),
        (b"max-age=60, " + b"x" * 2000, b"no-store"),
        (b",, ,", b"no-store"),
    ],
)
def test_an_authenticated_answer_is_stored_by_no_shared_cache(said: bytes | None, heard: bytes) -> None:
    assert down(*([(b"cache-control", said)] if said is not None else []))[b"cache-control"] == heard


FOR_SHARED_CACHES = (
    b"cdn-cache-control",
    b"cloudflare-cdn-cache-control",
    b"netlify-cdn-cache-control",
    b"surrogate-control",
    b"surrogate-key",
    b"edge-control",
    b"cf-edge-cache",
)


@pytest.mark.parametrize("name", FOR_SHARED_CACHES)
def test_what_is_said_to_shared_caches_alone_needs_the_route_as_well(name: bytes) -> None:
    said = (name, b"public, max-age=600")
    assert name not in down(said)
    assert down(said, route=SHARED)[name] == said[1]
    assert down(said, authenticated=False)[name] == said[1]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (None, b"no-store"),
        (b"Public, max-age=60", b"Public, max-age=60"),
        (b"s-maxage=60", b"s-maxage=60"),
        (b"max-age=60", b"max-age=60, private"),
        (b"public max-age=60", b"no-store"),
    ],
)
def test_a_route_may_leave_shared_caches_to_the_upstream(said: bytes | None, heard: bytes) -> None:
    fields = [(b"cache-control", said)] if said is not None else []
    assert down(*fields, route=SHARED)[b"cache-control"] == heard


def test_cache_control_in_several_lines_is_one() -> None:
    fields = [(b"cache-control", b"max-age=60"), (b"expires", b"x"), (b"cache-control", b"private")]
    heard = response_headers(200, fields, route=ROUTE, origin=ORIGIN, authenticated=True)
    assert [value for name, value in heard if name == b"cache-control"] == [b"max-age=60,private"]


def test_a_public_answer_is_stored_as_the_upstream_says() -> None:
    assert b"cache-control" not in down(authenticated=False)
    assert down((b"cache-control", b"max-age=60"), authenticated=False)[b"cache-control"] == b"max-age=60"


def test_no_other_site_embeds_an_authenticated_answer_unless_the_upstream_says_so() -> None:
    name = b"cross-origin-resource-policy"
    assert down()[name] == b"same-origin"
    assert down((name, b"cross-origin"))[name] == b"cross-origin"
    assert name not in down(authenticated=False)


# --- what a route adds and lets through

COOKIES = with_options(allow_cookies=("theme", "XSRF-TOKEN"))


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        ([b"theme=dark; bff-session=x; __Host-Http-session=y; XSRF-TOKEN=1"], [b"theme=dark; XSRF-TOKEN=1"]),
        ([b"a=1", b"theme=dark"], [b"theme=dark"]),
        ([b"Theme=dark; theme2=x; xtheme=y; \x85theme=z; \xa0theme=w"], []),
        ([b"theme"], []),
        ([b"theme=a=b;theme=c"], [b"theme=a=b; theme=c"]),
        ([b"bff-session=x"], []),
    ],
)
@pytest.mark.case("PX-007")
def test_only_listed_cookies_go_up(sent: list[bytes], heard: list[bytes]) -> None:
    found = up(*((b"cookie", line) for line in sent), route=COOKIES)
    assert [value for name, value in found if name == b"cookie"] == heard
    assert not [value for name, value in up(*((b"cookie", line) for line in sent)) if name == b"cookie"]


@pytest.mark.parametrize(
    ("said", "heard"),
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
def test_only_listed_cookies_come_down_and_for_this_host_alone(said: bytes, heard: bytes | None) -> None:
    assert down((b"set-cookie", said), route=COOKIES).get(b"set-cookie") == heard
    assert b"set-cookie" not in down((b"set-cookie", said))


def test_an_added_header_takes_the_place_of_the_clients() -> None:
    route = with_options(add_headers={"X-Api-Key": "ours", "User-Agent": "bff"})
    found = up((b"x-api-key", b"theirs"), (b"user-agent", b"curl"), (b"accept", b"*/*"), route=route)
    assert [value for name, value in found if name in (b"x-api-key", b"user-agent")] == [b"ours", b"bff"]
    assert (b"accept", b"*/*") in found
    assert dict(found)[b"authorization"] == b"Bearer our-token"
    assert "ours" not in repr(route)


def test_a_header_that_the_route_lists_comes_down() -> None:
    route = with_options(allow_response_headers=("server", "service-worker-allowed"))
    found = down((b"server", b"x"), (b"service-worker-allowed", b"/"), (b"via", b"y"), route=route)
    assert (found[b"server"], found[b"service-worker-allowed"]) == (b"x", b"/")
    assert b"via" not in found
    # What Connection names is between the two of us, listed or not.
    assert b"server" not in down((b"connection", b"server"), (b"server", b"x"), route=route)


def test_nobody_guesses_at_types() -> None:
    assert down((b"x-content-type-options", b"none of your business"))[b"x-content-type-options"] == b"nosniff"


def test_a_length_is_told_only_where_it_is_the_bodys() -> None:
    length = (b"content-length", b"5")
    assert down(length)[b"content-length"] == b"5"
    assert b"content-length" not in down(length, status=304)
    assert b"content-length" not in down(length, status=204)
    assert b"content-length" not in down(length, (b"transfer-encoding", b"chunked"))


@pytest.mark.parametrize(
    ("location", "public"),
    [
        ("/v1/items/1?x=1#y", "/api/items/1?x=1#y"),
        ("http://api.internal:8080/v1/items/1", "/api/items/1"),
        ("//api.internal:8080/v1/items/1", "/api/items/1"),
        ("HTTP://API.internal:8080/v1/items/1", "/api/items/1"),
        ("items/2", "items/2"),
        ("?page=2", "?page=2"),
        ("https://app.example/page", "https://app.example/page"),
        ("https://cdn.example/file?sig=1", "https://cdn.example/file?sig=1"),
        ("/admin", None),
        ("/v1x/items", None),
        ("/v1//evil.test/x", "/api//evil.test/x"),
        ("http://api.internal:8080/admin", None),
        ("http://api.internal:9/v1/x", None),
        ("http://169.254.169.254/latest", None),
        ("//other.internal/x", None),
        ("https://user@cdn.example/x", None),
        ("javascript:alert(1)", None),
        ("/v1/\\evil", None),
        ("http://[broken/x", None),
    ],
)
@pytest.mark.case("PX-064")
def test_a_location_names_no_internal_place(location: str, public: str | None) -> None:
    rewritten = public_location(location.encode(), route=ROUTE, origin=ORIGIN)
    assert rewritten == (public.encode() if public is not None else None)


@pytest.mark.parametrize(
    ("peer", "claims", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # nobody we trust: its claims are its own
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, junk, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        (None, ["198.51.100.1"], "unknown"),
        # A zone means something on one machine only (RFC 4007 section 11): no address that anybody else could have.
        ("10.0.0.1", ["6.6.6.6, fe80::1%eth0"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%eth0, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["2001:db8::1%0, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["::1%25eth0"], "10.0.0.1"),
        ("fe80::7%eth0", ["198.51.100.1"], "198.51.100.1"),  # the peer's own is the kernel's word
        ("fe80::7%eth0", [], "fe80::7"),
        ("2001:db8::5%eth0", ["198.51.100.1"], "2001:db8::5"),
    ],
)
def test_the_clients_address_is_the_nearest_that_no_trusted_proxy_has(
    peer: str | None, claims: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", claim.encode()) for claim in claims]
    assert TrustedProxies(["10.0.0.0/8", "fe80::/10"]).client_address(peer, headers) == address


def test_without_trusted_proxies_only_the_peer_counts() -> None:
    assert TrustedProxies().client_address("10.0.0.1", [(b"x-forwarded-for", b"1.1.1.1")]) == "10.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "peer", "claims", "address"),
    [
        ("10.0.0.0/8", "10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", ["192.168.1.7"], "192.168.1.7"),  # people of an intranet
        ("10.0.0.0/8", "10.0.0.1", [], None),  # a probe of the proxy's own
        ("10.0.0.0/8", "10.0.0.1", ["10.0.0.2"], None),
        ("10.0.0.0/8", "172.17.0.1", ["203.0.113.9"], None),  # one that was forgotten
        ("10.0.0.0/8", "8.8.8.8", ["203.0.113.9"], "8.8.8.8"),  # a stranger past the proxy
        ("", "8.8.8.8", ["203.0.113.9"], None),
        ("", "127.0.0.1", [], None),
        ("unix", None, ["203.0.113.9"], "203.0.113.9"),
        ("unix", None, [], None),
        ("10.0.0.0/8", None, ["203.0.113.9"], None),
    ],
)
def test_an_address_counts_as_the_clients_only_where_it_can_be_no_proxys(
    trusted: str, peer: str | None, claims: list[str], address: str | None
) -> None:
    headers = [(b"x-forwarded-for", claim.encode()) for claim in claims]
    assert TrustedProxies(trusted.split()).known_client(peer, headers) == address
