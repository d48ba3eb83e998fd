"""Whether our own page sent a request: the signals one by one, together, and against each other."""

from collections.abc import Mapping, Sequence
from itertools import product

import pytest

from bff.asgi.header_section import HeaderSection
from bff.errors import CsrfRequired, SignInRequired
from bff.session.keyring import KeyRing, new_key
from bff.web.cookies import CookieNames
from bff.web.error_status import status_of
from bff.web.origin_policy import CsrfRule, OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies

OURS, LISTED, EVIL = "https://app.example", "https://admin.app.example", "https://evil.example"
RULES: tuple[CsrfRule, ...] = ("header", "fetch-metadata", "navigation")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW")
WRITING = tuple(method for method in METHODS if method not in ("GET", "HEAD"))
Field = tuple[bytes, bytes]
CSRF: Field = (b"x-csrf", b"1")
NAVIGATE: Field = (b"sec-fetch-mode", b"navigate")


def site(value: str) -> Field:
    return b"sec-fetch-site", value.encode()


def origin(value: str) -> Field:
    return b"origin", value.encode()


def passes(method: str, *headers: Field, rule: CsrfRule = "header", listed: tuple[str, ...] = ()) -> bool:
    """Also of headers that are shared, and of those that were checked before."""
    policy, section = OriginPolicy(OURS, listed), HeaderSection(headers)
    first, *others = [_passes(policy, method, fields, rule) for fields in (headers, section, section)]
    assert others == [first, first]
    return first


def _passes(policy: OriginPolicy, method: str, headers: Sequence[Field], rule: CsrfRule) -> bool:
    try:
        policy.check_csrf(method, headers, rule)
    except CsrfRequired:
        return False
    return True


def test_what_one_policy_rule_or_method_allows_is_not_allowed_by_another() -> None:
    section = HeaderSection([site("none")])
    policy = OriginPolicy(OURS)
    assert _passes(policy, "GET", section, "fetch-metadata")
    assert not _passes(policy, "GET", section, "header")
    assert not _passes(policy, "POST", section, "fetch-metadata")
    listed = HeaderSection([CSRF, origin(LISTED), site("same-site")])
    assert _passes(OriginPolicy(OURS, [LISTED]), "GET", listed, "header")
    assert not _passes(policy, "GET", listed, "header")


@pytest.mark.parametrize("method", METHODS)
def test_our_own_fetch_passes_with_the_header_and_never_without(method: str) -> None:
    for signals in ([site("same-origin")], [origin(OURS)], [site("same-origin"), origin(OURS)], []):
        assert passes(method, CSRF, *signals)
        assert passes(method, *((name.title(), value) for name, value in (CSRF, *signals)))
        assert not passes(method, *signals)


@pytest.mark.parametrize("value", [b"", b"0", b"2", b"11", b"1 ", b" 1", b"1,1", b"true", b"\xd9\xa1", b"token-of-A"])
@pytest.mark.case("CS-032")
def test_the_header_is_exactly_1(value: bytes) -> None:
    for method, rule in product(("GET", "POST"), RULES):
        assert not passes(method, (b"x-csrf", value), site("same-origin"), rule=rule)


@pytest.mark.parametrize(
    "twice",
    [
        (CSRF, CSRF),
        (site("same-origin"), site("cross-site")),
        (origin(OURS), origin(EVIL)),
        (origin(OURS), origin(OURS)),
        (NAVIGATE, NAVIGATE),
    ],
)
def test_a_signal_that_comes_twice_is_not_believed(twice: tuple[Field, Field]) -> None:
    for order, rule in product((twice, twice[::-1]), RULES):
        others = [field for field in (CSRF, site("same-origin")) if field[0] != twice[0][0]]
        assert not passes("GET", *others, *order, rule=rule)


@pytest.mark.case("CS-009")
def test_without_origin_and_fetch_metadata_the_header_alone_decides() -> None:
    for method, rule in product(("GET", "POST"), RULES):
        assert passes(method, CSRF, rule=rule)
        assert not passes(method, rule=rule)


@pytest.mark.parametrize(
    "claimed",
    [
        *(pytest.param(value, id=f"CS-010-{value}") for value in ("cross-site", "same-site")),
        *(pytest.param(value, id=f"CS-012-{value}") for value in ("none", "", "Same-Origin")),
    ],
)
def test_a_foreign_sec_fetch_site_is_refused_with_and_without_the_header(claimed: str) -> None:
    for method, rule, extra in product(WRITING, RULES, [(), (CSRF,), (CSRF, origin(OURS))]):
        assert not passes(method, site(claimed), *extra, rule=rule)


@pytest.mark.parametrize(
    "foreign",
    [
        *(pytest.param(value, id=f"CS-007-{value}") for value in ("https://evil.app.example", LISTED)),
        *(
            pytest.param(value, id=f"CS-026-{value}")
            for value in (
                *(
                    "null",
                    "https://app.example.evil",
                    "https://appxexample",
                    "http://app.example",
                    "https://app.example/",
                ),
                *("https://app.example:443", "https://APP.example", f"{OURS}, {EVIL}", ""),
            )
        ),
    ],
)
def test_a_foreign_origin_is_refused_whatever_else_is_sent(foreign: str) -> None:
    for method, rule, extra in product(("GET", "POST"), RULES, [(), (site("same-origin"),), (NAVIGATE,)]):
        assert not passes(method, CSRF, origin(foreign), *extra, rule=rule)
        assert not passes(method, origin(foreign), *extra, rule=rule)


@pytest.mark.parametrize("claimed", ["same-site", "cross-site"])
@pytest.mark.case("CS-007")
def test_an_allowed_origin_passes_with_the_header(claimed: str) -> None:
    for headers, expected in (
        ((CSRF, origin(LISTED), site(claimed)), True),
        ((CSRF, origin(LISTED)), True),
        ((origin(LISTED), site(claimed)), False),
        ((CSRF, site(claimed)), False),
        ((CSRF, origin(OURS), site(claimed)), False),
        ((CSRF, origin("null"), site(claimed)), False),
    ):
        assert passes("POST", *headers, listed=(LISTED, "null")) is expected
    assert passes("GET", origin(LISTED), site(claimed), rule="fetch-metadata", listed=(LISTED,))


@pytest.mark.case("CS-023")
def test_a_preflight_of_another_origin_is_refused() -> None:
    asked = [(b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"x-csrf")]
    for rule, listed in product(RULES, ((), (EVIL,))):
        assert not passes("OPTIONS", origin(EVIL), site("cross-site"), *asked, rule=rule, listed=listed)


@pytest.mark.parametrize("override", [b"x-http-method-override", b"x-method-override", b"x-http-method"])
@pytest.mark.case("CS-019")
def test_a_method_override_changes_nothing(override: bytes) -> None:
    assert not passes("POST", (override, b"GET"), site("same-origin"), rule="fetch-metadata")
    assert passes("GET", (override, b"DELETE"), site("same-origin"), rule="fetch-metadata")


@pytest.mark.parametrize(
    ("headers", "fetch_metadata", "navigation"),
    [
        ((site("same-origin"),), True, True),
        ((site("none"),), True, True),
        ((origin(OURS),), True, True),
        ((site("same-origin"), (b"sec-fetch-mode", b"cors")), True, True),
        *(((site(ours), NAVIGATE), True, True) for ours in ("same-origin", "none")),
        *(((site(other), NAVIGATE), False, True) for other in ("cross-site", "same-site")),
        *(((site(other),), False, False) for other in ("cross-site", "same-site")),
        ((site("cross-site"), CSRF), False, False),
        ((site("cross-site"), (b"sec-fetch-mode", b"no-cors")), False, False),
    ],
)
def test_reading_by_fetch_metadata_and_navigations(
    headers: tuple[Field, ...], fetch_metadata: bool, navigation: bool
) -> None:
    for method in ("GET", "HEAD"):
        assert passes(method, *headers, rule="fetch-metadata") is fetch_metadata
        assert passes(method, *headers, rule="navigation") is navigation
    for method, rule in product(WRITING, RULES[1:]):
        assert not passes(method, *headers, rule=rule)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ([origin(OURS)], True),
        ([origin(LISTED)], True),
        *(
            pytest.param(headers, False, id=case)
            for case, headers in (
                ("CS-028-none", []),
                ("CS-028-header", [CSRF, site("same-origin")]),
                ("CS-028-twice", [origin(OURS), origin(OURS)]),
                ("CS-026-null", [origin("null")]),
                ("CS-026-suffix", [origin("https://app.example.evil")]),
                ("CS-007", [origin("https://evil.app.example"), CSRF]),
            )
        ),
    ],
)
def test_a_handshake_needs_exactly_our_origin_or_an_allowed_one(headers: list[Field], ours: bool) -> None:
    policy = OriginPolicy(OURS, [LISTED])
    if ours:
        policy.check_websocket(headers)
    else:
        with pytest.raises(CsrfRequired):
            policy.check_websocket(headers)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ((site("same-origin"), NAVIGATE, origin(OURS)), True),
        ((site("same-origin"), NAVIGATE), False),
        ((site("same-origin"), origin(OURS)), False),
        ((NAVIGATE, origin(OURS)), False),
        *(((site(other), NAVIGATE, origin(OURS)), False) for other in ("same-site", "cross-site", "none")),
        *(((site("same-origin"), NAVIGATE, origin(other)), False) for other in (LISTED, EVIL, "null")),
        ((site("same-origin"), (b"sec-fetch-mode", b"cors"), origin(OURS), CSRF), False),
        *(
            ((site("same-origin"), NAVIGATE, origin(OURS), again), False)
            for again in (site("same-origin"), NAVIGATE, origin(OURS))
        ),
    ],
)
def test_a_form_needs_every_signal_of_a_navigation_of_our_own_page(headers: tuple[Field, ...], ours: bool) -> None:
    policy = OriginPolicy(OURS, [LISTED])
    if ours:
        policy.check_form(headers)
    else:
        with pytest.raises(CsrfRequired):
            policy.check_form(headers)


@pytest.mark.parametrize(
    ("headers", "script"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": LISTED}, True),
        ({"sec-fetch-site": "same-site", "origin": EVIL}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}, False),
        ({"sec-fetch-site": "same-origin", "sec-purpose": "prefetch"}, False),
    ],
)
def test_a_script_of_ours_is_told_from_links_and_images(headers: Mapping[str, str], script: bool) -> None:
    assert OriginPolicy(OURS, [LISTED]).is_script_request(headers) is script


def test_cors_is_for_allowed_origins_alone() -> None:
    policy = OriginPolicy(OURS, [LISTED, "null"])
    assert policy.cors_origin([origin(LISTED)]) == LISTED.encode()
    for headers in ([], [origin(OURS)], [origin("null")], [origin(EVIL)], [origin(LISTED)] * 2):
        assert policy.cors_origin(headers) is None
    assert [OriginPolicy(OURS, allowed).allows_other_origins for allowed in ([LISTED], ["null"], [])] == [
        True,
        False,
        False,
    ]


def test_a_request_without_csrf_proof_is_refused_before_its_session_is_looked_at() -> None:
    cookies = SessionCookies(KeyRing.from_keys([new_key()]), CookieNames())
    authentication = RequestAuthentication(OriginPolicy(OURS), cookies)
    with pytest.raises(CsrfRequired) as refused:
        authentication.require("POST", [])
    assert (status_of(refused.value), refused.value.code) == (403, "csrf_required")
    with pytest.raises(SignInRequired):
        authentication.require("POST", [CSRF])
