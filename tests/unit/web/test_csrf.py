"""Did our own page send this? The witnesses one by one, together, and against each other."""

from itertools import product

import pytest

from bff.errors import CsrfRequired, SignInRequired, UnsupportedMediaType
from bff.web.error_status import status_of
from bff.web.origin_policy import CsrfRule, OriginPolicy
from bff.web.request_body import require_json
from tests.harness.places import CASES

OURS = "https://app.example"
LISTED = "https://admin.app.example"
CSRF = (b"x-csrf", b"1")
ATTACK_CASES = CASES / "csrf.json"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW"]


def site(value: str) -> tuple[bytes, bytes]:
    return b"sec-fetch-site", value.encode()


def origin(value: str) -> tuple[bytes, bytes]:
    return b"origin", value.encode()


def let_through(
    method: str, *headers: tuple[bytes, bytes], rule: CsrfRule = "header", listed: tuple[str, ...] = ()
) -> bool:
    try:
        OriginPolicy(OURS, listed).check_csrf(method, headers, rule)
    except CsrfRequired:
        return False
    return True


def test_a_refusal_is_never_taken_for_a_missing_session() -> None:
    with pytest.raises(CsrfRequired) as refused:
        OriginPolicy(OURS).check_csrf("POST", [])
    assert (status_of(refused.value), refused.value.code) == (403, "csrf_required")
    assert (status_of(SignInRequired()), SignInRequired.code) == (401, "sign_in_required")


@pytest.mark.parametrize("method", METHODS)
def test_our_own_fetch_passes_with_any_method(method: str) -> None:
    assert let_through(method, CSRF, site("same-origin"))
    assert let_through(method, CSRF, site("same-origin"), origin(OURS))
    assert let_through(method, (b"X-CSRF", b"1"), (b"Sec-Fetch-Site", b"same-origin"), (b"Origin", OURS.encode()))
    assert let_through(method, CSRF, origin(OURS)), "a browser without fetch metadata"


@pytest.mark.parametrize("method", METHODS)
def test_without_the_header_nothing_passes(method: str) -> None:
    assert not let_through(method)
    assert not let_through(method, site("same-origin"))
    assert not let_through(method, site("same-origin"), origin(OURS))
    assert not let_through(method, origin(OURS))


@pytest.mark.parametrize("case", ["CS-032"])
@pytest.mark.parametrize("value", [b"", b"0", b"2", b"11", b"1 ", b" 1", b"1,1", b"true", b"\xd9\xa1", b"token-of-A"])
def test_the_header_is_no_token_to_carry_about_it_is_exactly_1(case: str, value: bytes) -> None:
    assert not let_through("POST", (b"x-csrf", value), site("same-origin"))
    assert not let_through("GET", (b"x-csrf", value), site("same-origin"), rule="fetch-metadata")


@pytest.mark.parametrize(
    "twice", [(CSRF, CSRF), (site("same-origin"), site("cross-site")), (origin(OURS), origin("https://evil.example"))]
)
def test_a_witness_that_comes_twice_is_not_believed(twice: tuple[tuple[bytes, bytes], ...]) -> None:
    for order in (twice, twice[::-1]):
        assert not let_through("POST", CSRF, site("same-origin"), *order)
        assert not let_through("GET", site("same-origin"), *order, rule="fetch-metadata")


@pytest.mark.parametrize("case", ["CS-009"])
def test_without_origin_and_fetch_metadata_the_header_alone_decides(case: str) -> None:
    assert let_through("POST", CSRF)
    assert not let_through("POST")
    assert let_through("GET", CSRF, rule="fetch-metadata")
    assert not let_through("GET", rule="fetch-metadata")


@pytest.mark.parametrize(
    ("case", "claimed"),
    [("CS-010", "cross-site"), ("CS-010", "same-site"), ("CS-012", "none"), ("CS-012", ""), ("CS-012", "Same-Origin")],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_foreign_sec_fetch_site_is_refused_with_and_without_the_header(case: str, claimed: str, method: str) -> None:
    rules: tuple[CsrfRule, ...] = ("header", "fetch-metadata", "navigation")
    for rule, extra in product(rules, [(), (CSRF,), (CSRF, origin(OURS))]):
        assert not let_through(method, site(claimed), *extra, rule=rule)


@pytest.mark.parametrize(
    ("case", "foreign"),
    [
        ("CS-007", "https://evil.app.example"),
        ("CS-007", LISTED),
        ("CS-026", "null"),
        ("CS-026", "https://app.example.evil"),
        ("CS-026", "https://app.example.evil.example"),
        ("CS-026", "https://appxexample"),
        ("CS-026", "http://app.example"),
        ("CS-026", "https://app.example:443"),
        ("CS-026", "https://app.example/"),
        ("CS-026", "https://APP.example"),
        ("CS-026", "https://app.example, https://evil.example"),
        ("CS-026", ""),
    ],
)
def test_a_foreign_origin_is_refused_whatever_else_is_said(case: str, foreign: str) -> None:
    assert not let_through("POST", CSRF, origin(foreign))
    assert not let_through("POST", CSRF, origin(foreign), site("same-origin"))
    assert not let_through("GET", origin(foreign), site("same-origin"), rule="fetch-metadata")
    assert not let_through("GET", origin(foreign), (b"sec-fetch-mode", b"navigate"), rule="navigation")


@pytest.mark.parametrize("case", ["CS-007"])
def test_a_listed_origin_passes_and_needs_the_header_too(case: str) -> None:
    for claimed in ("same-site", "cross-site"):
        assert let_through("POST", CSRF, origin(LISTED), site(claimed), listed=(LISTED,))
        assert not let_through("POST", origin(LISTED), site(claimed), listed=(LISTED,))
        assert not let_through("POST", CSRF, site(claimed), listed=(LISTED,)), "no Origin, so not from the listed one"
        assert not let_through("POST", CSRF, origin(OURS), site(claimed), listed=(LISTED,)), "the two contradict"
    assert let_through("POST", CSRF, origin(LISTED), listed=(LISTED,))
    assert not let_through("POST", CSRF, origin("null"), listed=("null",)), "null is nobody's, even when listed"


@pytest.mark.parametrize("case", ["CS-023"])
def test_a_preflight_of_another_origin_is_refused(case: str) -> None:
    headers = [
        origin("https://evil.example"),
        site("cross-site"),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"x-csrf"),
    ]
    for rule in ("header", "fetch-metadata", "navigation"):
        assert not let_through("OPTIONS", *headers, rule=rule)
        assert not let_through("OPTIONS", *headers, rule=rule, listed=("https://evil.example",))


@pytest.mark.parametrize("case", ["CS-019"])
@pytest.mark.parametrize("override", [b"x-http-method-override", b"x-method-override", b"x-http-method"])
def test_an_override_changes_no_judgement(case: str, override: bytes) -> None:
    assert not let_through("POST", (override, b"GET"), site("same-origin"), rule="fetch-metadata")
    assert let_through("GET", (override, b"DELETE"), site("same-origin"), rule="fetch-metadata")
    assert not let_through("POST", (override, b"GET"))


# --- routes that say `fetch-metadata`, and forward-auth --------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_event_source_or_a_download_passes_by_fetch_metadata(method: str) -> None:
    assert let_through(method, site("same-origin"), rule="fetch-metadata")
    assert let_through(method, site("none"), rule="fetch-metadata"), "typed, or a bookmark"
    assert let_through(method, origin(OURS), rule="fetch-metadata")
    assert let_through(method, origin(LISTED), site("same-site"), rule="fetch-metadata", listed=(LISTED,))


@pytest.mark.parametrize("claimed", ["cross-site", "same-site"])
def test_an_image_on_another_site_does_not(claimed: str) -> None:
    for method in ("GET", "HEAD"):
        assert not let_through(method, site(claimed), rule="fetch-metadata")
        assert not let_through(method, site(claimed), CSRF, rule="fetch-metadata")
        assert not let_through(method, site(claimed), (b"sec-fetch-mode", b"navigate"), rule="fetch-metadata")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW"])
def test_writing_needs_the_header_under_every_rule(method: str) -> None:
    for rule in ("fetch-metadata", "navigation"):
        assert not let_through(method, site("same-origin"), rule=rule)
        assert not let_through(method, site("same-origin"), (b"sec-fetch-mode", b"navigate"), rule=rule)
        assert let_through(method, site("same-origin"), CSRF, rule=rule)


def test_forward_auth_lets_navigations_through_wherever_the_link_was() -> None:
    for claimed in ("cross-site", "same-site", "same-origin", "none"):
        assert let_through("GET", site(claimed), (b"sec-fetch-mode", b"navigate"), rule="navigation")
    assert let_through("GET", site("same-origin"), (b"sec-fetch-mode", b"cors"), rule="navigation")
    assert not let_through("GET", site("cross-site"), (b"sec-fetch-mode", b"no-cors"), rule="navigation")
    assert not let_through("GET", *[(b"sec-fetch-mode", b"navigate")] * 2, site("cross-site"), rule="navigation")


# --- WebSocket -------------------------------------------------------------------------------------------------------


def test_a_handshake_passes_with_exactly_our_origin_or_a_listed_one() -> None:
    OriginPolicy(OURS).check_websocket([origin(OURS)])
    OriginPolicy(OURS, [LISTED]).check_websocket([origin(LISTED)])


@pytest.mark.parametrize(
    ("case", "headers"),
    [
        ("CS-028", []),
        ("CS-028", [CSRF, site("same-origin")]),
        ("CS-026", [origin("null")]),
        ("CS-026", [origin("https://app.example.evil")]),
        ("CS-007", [origin("https://evil.app.example"), CSRF]),
        ("CS-028", [origin(OURS), origin(OURS)]),
    ],
)
def test_any_other_handshake_is_refused(case: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(CsrfRequired):
        OriginPolicy(OURS, [LISTED]).check_websocket(headers)


# --- the content type of our own endpoints ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"application/json", b"application/json;charset=utf-8", b"Application/JSON ; a=b"])
def test_json_is_accepted(value: bytes) -> None:
    require_json([(b"content-type", value)], body_present=True)
    require_json([(b"Content-Type", value)], body_present=False)


def test_no_body_needs_no_type() -> None:
    require_json([], body_present=False)


@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("CS-016", [b"multipart/form-data; boundary=x"]),
        ("CS-016", [b"application/x-www-form-urlencoded"]),
        ("CS-016", [b"text/plain"]),
        ("CS-016", [b"text/plain; application/json"]),
        ("CS-016", [b"application/json, text/plain"]),
        ("CS-016", [b"application/json", b"text/plain"]),
        ("CS-016", [b"application/json", b"application/json"]),
        ("CS-016", [b"application/jsonp"]),
        ("CS-016", [b"\x0bapplication/json"]),
        ("CS-017", []),
        ("CS-017", [b""]),
    ],
)
def test_anything_but_json_is_415(case: str, values: list[bytes]) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        require_json([(b"content-type", value) for value in values], body_present=True)
    assert status_of(refused.value) == 415


def test_a_form_without_a_body_is_still_a_form() -> None:
    with pytest.raises(UnsupportedMediaType):
        require_json([(b"content-type", b"application/x-www-form-urlencoded")], body_present=False)
