"""The return path rule, checked with a parser that reads URLs as browsers do (WHATWG, `ada_url`)."""

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

# Cases that stay on our origin and that the rule accepts.
ALLOWED = {
    "RD-036": "/%20/evil.example",
    "RD-046": "/%ef%bc%8fevil.example",
    "RD-167": "/ok?next=//evil.example",
    "RD-199": "/ok?x=%",
}


def checked(value: str | None, callback_path: str = "/authorization-code/callback") -> str:
    return safe_return_to(value, fallback=FALLBACK, public_url=PUBLIC_URL, callback_path=callback_path)


def origin_in_a_browser(location: str) -> str:
    return URL(location, base=f"{PUBLIC_URL}/authorization-code/callback").origin


@pytest.mark.case("OP-024")
@pytest.mark.parametrize("case", sorted(CASES))
def test_no_return_url_leaves_our_origin(case: str) -> None:
    value = WRITTEN_OUT.get(case, CASES[case]["input"])
    result = checked(value)
    assert result == ALLOWED.get(case, FALLBACK)
    assert origin_in_a_browser(result) == PUBLIC_URL
    if CASES[case]["expected"].startswith("refused"):
        assert result == FALLBACK
        # Our own origin in front makes it no better.
        assert origin_in_a_browser(checked(PUBLIC_URL + value)) == PUBLIC_URL


ACCEPTED = r"""
/ /orders/17 /orders/17/?tab=lines&sort=-date#row-3 /caf%C3%A9/%F0%9F%8D%B0 /#/deep/route?of=hash
/search?q=a%20b&next=https://elsewhere.example/x//y /search?filter[]=a|b&filter[]={c} /search?text=%0d%0a
/@someone/a:b;v=1,2!~*'()$ /authors /authorization-code /.well-known/x /a..b/c.
"""
REFUSED = r"""
orders ?x #x /a//b /a/%2e%2E/b /a/.%2e /a/. /a/..;x=1/b /a%2fb /a%5Cb /a%00b /a%7fb /a%c2%85b /a%ffb /a% /a%4 /café
/ok?x=\ /ok?x=" /ok?x=<y> /auth /auth/login /AUTH/login /%61uth/logout /auth%2flogin /auth?x
/authorization-code/callback /authorization-code/callback?code=x&state=y /authorization-code/callback/more
/authorization-code/%63allback
"""
OTHER_ORIGINS = """
https://app.example https://app.example//evil.example https://app.example@evil.example/
https://app.example.evil.example/ https://app.example:443/orders https://app.example:8443/orders
https://user@app.example/orders HTTPS://app.example/orders http://app.example/orders
https://app.examplehttps://app.example/orders https://app.example/auth/logout
"""


@pytest.mark.parametrize("value", [*ACCEPTED.split(), "/" + "a" * (LENGTH_LIMIT - 1)])
def test_a_path_on_our_origin_is_returned_unchanged(value: str) -> None:
    assert checked(value) == value
    assert origin_in_a_browser(value) == PUBLIC_URL


@pytest.mark.parametrize(
    "value", [*REFUSED.split(), None, "", "/" + "a" * LENGTH_LIMIT, "/a b", "/a\u007f", "/ok\n", "/ok?x\n"]
)
def test_any_other_value_falls_back(value: str | None) -> None:
    assert checked(value) == FALLBACK


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("https://app.example/orders?x#y", "/orders?x#y"),
        ("https://app.example?x", "/?x"),
        ("https://app.example#x", "/#x"),
        *[(value, FALLBACK) for value in OTHER_ORIGINS.split()],
    ],
)
def test_a_url_of_exactly_our_origin_is_reduced_to_its_path(value: str, result: str) -> None:
    assert checked(value) == result


def test_the_callback_path_comes_from_the_settings() -> None:
    for callback in ("/signed-in", "/Signed-In/"):
        for value in ("/signed-in", "/signed-in/?x", "/SIGNED-IN"):
            assert checked(value, callback) == FALLBACK
        assert checked("/signed-inside", callback) == "/signed-inside"
        assert checked("/authorization-code/callback", callback) == "/authorization-code/callback"


PIECES = """
/ // \\ . .. %2e %2f %5c % %00 @ : ? # [ ] ^ | ; ' é ／ 。 \ufeff
evil.example app.example https: https:// javascript: auth a /a /b
"""

pieces = st.sampled_from([*PIECES.split(), "\t", "\n", "\r", " ", "\0"])


@settings(max_examples=300)
@given(st.lists(pieces, max_size=9).map("".join) | st.text(max_size=30), st.booleans())
@example("/\t/evil.example", True)
@example("@evil.example", True)
@example("/.//evil.example", False)
def test_no_value_leaves_our_origin_or_resolves_to_another_path(value: str, absolute: bool) -> None:
    result = checked(PUBLIC_URL + value if absolute else value)
    seen = URL(result, base=f"{PUBLIC_URL}/authorization-code/callback")
    assert seen.origin == PUBLIC_URL
    assert (seen.username, seen.password) == ("", "")
    assert not seen.pathname.startswith("/auth/")
    # The browser requests exactly the path that was checked.
    assert result.split("#")[0].split("?")[0] == seen.pathname
    assert checked(result) == result
    assert result.isascii()
    assert result.isprintable()
    assert " " not in result
