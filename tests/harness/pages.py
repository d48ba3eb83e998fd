"""What a person's browser gets from us, read back: error pages, cookies, and the parameters of an address."""

import re
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

CODE = re.compile(r"<dt>Error code</dt><dd>([a-z_]+)</dd>")
AGAIN = re.compile(r'href="(/auth/login[^"]*)"')


def error_page(response: httpx.Response) -> tuple[int, str]:
    """Status and error code. Asserts what holds for every such page: readable, never stored, no referrer, no frame."""
    assert response.headers["content-type"] == "text/html; charset=utf-8", response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    found = CODE.search(response.text)
    assert found is not None, response.text
    return response.status_code, found[1]


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and error code of a problem document."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def try_again(response: httpx.Response) -> str:
    """Where the page's link goes."""
    found = AGAIN.search(response.text)
    assert found is not None, response.text
    return unescape(found[1])


def set_cookies(response: httpx.Response) -> dict[str, str]:
    """Set-Cookie lines by the cookie's name."""
    return {line.partition("=")[0]: line for line in response.headers.get_list("set-cookie")}


def parameters(url: str) -> dict[str, str]:
    """The first value of each parameter of the query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def with_parameters(url: str, **changes: str | None) -> str:
    """`url` with these parameters replaced, or removed with None."""
    kept = {name: value for name, value in {**parameters(url), **changes}.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(kept)}"
