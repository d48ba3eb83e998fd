"""The return-URL rule, judged by an independent parser that reads URLs as browsers do (WHATWG, `ada_url`)."""

import json

import pytest
from ada_url import URL
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.session.return_to import LENGTH_LIMIT, safe_return_to
from tests.harness.places import CASES

PUBLIC_URL = "https://app.example"
FALLBACK = "/home"
CASES = {case["id"]: case for case in json.loads((CASES / "return-url.json").read_text())["cases"]}
WRITTEN_OUT = {"RD-161": "", "RD-185": "/" + "a" * 9000}

# Cases that stay on our origin and that the strict rule has no objection to.
ALLOWED = {
    "RD-036": "/%20/evil.example",
    "RD-046": "/%ef%bc%8fevil.example",
    "RD-167": "/ok?next=//evil.example",
    "RD-199": "/ok?x=%",
}


def judged(value: str | None) -> str:
    return safe_return_to(value, fallback=FALLBACK, public_url=PUBLIC_URL)


def origin_in_a_browser(location: str) -> str:
    return URL(location, base=f"{PUBLIC_URL}/authorization-code/callback").origin


@pytest.mark.case("OP-024")
@pytest.mark.parametrize("case", sorted(CASES))
def test_no_return_url_leaves_our_origin(case: str) -> None:
    value = WRITTEN_OUT.get(case, CASES[case]["input"])
    result = judged(value)
    assert result == ALLOWED.get(case, FALLBACK)
    assert origin_in_a_browser(result) == PUBLIC_URL
    if CASES[case]["expected"].startswith("refused"):
        assert result == FALLBACK
        # An absolute spelling of our own origin around it makes it no better.
        assert origin_in_a_browser(judged(PUBLIC_URL + value)) == PUBLIC_URL


@pytest.mark.parametrize(
    "value",
    [
        "/",
        "/orders/17",
        "/orders/17/?tab=lines&sort=-date#row-3",
        "/caf%C3%A9/%F0%9F%8D%B0",
        "/search?q=a%20b&next=https://elsewhere.example/x//y",
        "/search?filter[]=a|b&filter[]={c}",
        "/#/deep/route?of=hash",
        "/@someone/a:b;v=1,2!~*'()$",
        "/authors",
        "/authorization-code",
        "/.well-known/x",
        "/a..b/c.",
        "/search?text=%0d%0a",
        "/" + "a" * (LENGTH_LIMIT - 1),
    ],
)
def test_a_page_of_ours_is_returned_to_as_it_was_asked_for(value: str) -> None:
    assert judged(value) == value
    assert origin_in_a_browser(value) == PUBLIC_URL


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "orders",
        "?x",
        "#x",
        "/" + "a" * LENGTH_LIMIT,
        "/a//b",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a/.",
        "/a/..;x=1/b",
        "/a%2fb",
        "/a%5Cb",
        "/a%00b",
        "/a%7fb",
        "/a%c2%85b",
        "/a%ffb",
        "/a%",
        "/a%4",
        "/caf\u00e9",
        "/a b",
        "/a\u007f",
        "/ok?x=\\",
        '/ok?x="',
        "/ok?x=<y>",
        "/ok\n",
        "/ok?x\n",
        "/auth",
        "/auth/login",
        "/AUTH/login",
        "/%61uth/logout",
        "/auth%2flogin",
        "/auth?x",
        "/authorization-code/callback",
        "/authorization-code/callback?code=x&state=y",
        "/authorization-code/callback/more",
        "/authorization-code/%63allback",
    ],
)
def test_what_is_no_plain_page_of_ours_falls_back(value: str | None) -> None:
    assert judged(value) == FALLBACK


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("https://app.example/orders?x#y", "/orders?x#y"),
        ("https://app.example?x", "/?x"),
        ("https://app.example#x", "/#x"),
        ("https://app.example", FALLBACK),
        ("https://app.example//evil.example", FALLBACK),
        ("https://app.example@evil.example/", FALLBACK),
        ("https://app.example.evil.example/", FALLBACK),
        ("https://app.example:443/orders", FALLBACK),
        ("https://app.example:8443/orders", FALLBACK),
        ("https://user@app.example/orders", FALLBACK),
        ("HTTPS://app.example/orders", FALLBACK),
        ("http://app.example/orders", FALLBACK),
        ("https://app.examplehttps://app.example/orders", FALLBACK),
        ("https://app.example/auth/logout", FALLBACK),
    ],
)
def test_a_target_link_uri_of_exactly_our_origin_is_reduced_to_its_path(value: str, result: str) -> None:
    assert judged(value) == result


def test_the_callback_is_wherever_the_settings_say() -> None:
    def there(value: str) -> str:
        return safe_return_to(value, fallback=FALLBACK, public_url=PUBLIC_URL, callback_path="/signed-in")

    assert there("/signed-in") == there("/signed-in/?x") == FALLBACK
    assert there("/signed-inside") == "/signed-inside"


pieces = st.sampled_from(
    [
        *[
            "/",
            "//",
            "\\",
            ".",
            "..",
            "%2e",
            "%2f",
            "%5c",
            "%",
            "%00",
            "@",
            ":",
            "?",
            "#",
            "[",
            "]",
            "^",
            "|",
            ";",
            "'",
        ],
        *["\t", "\n", "\r", " ", "\0", "é", "／", "。", "\ufeff"],
        *["evil.example", "app.example", "https:", "https://", "javascript:", "auth", "a", "/a", "/b"],
    ]
)


@settings(max_examples=1500)
@given(st.lists(pieces, max_size=9).map("".join) | st.text(max_size=30), st.booleans())
@example("/\t/evil.example", True)
@example("@evil.example", True)
@example("/.//evil.example", False)
def test_whatever_is_asked_the_browser_stays_and_the_path_stays_what_it_is(value: str, absolute: bool) -> None:
    result = judged(PUBLIC_URL + value if absolute else value)
    seen = URL(result, base=f"{PUBLIC_URL}/authorization-code/callback")
    assert seen.origin == PUBLIC_URL
    assert (seen.username, seen.password) == ("", "")
    assert not seen.pathname.startswith("/auth/")
    # Nothing was resolved away: the browser asks for the very path that was judged.
    assert result.split("#")[0].split("?")[0] == seen.pathname
    assert judged(result) == result
    assert result.isascii()
    assert result.isprintable()
    assert " " not in result
