"""What a person sees when a navigation fails, read back from the page."""

import re
from html import unescape

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


def try_again(response: httpx.Response) -> str:
    """Where the page's link goes."""
    found = AGAIN.search(response.text)
    assert found is not None, response.text
    return unescape(found[1])


def set_cookies(response: httpx.Response) -> dict[str, str]:
    """Set-Cookie lines by the cookie's name."""
    return {line.partition("=")[0]: line for line in response.headers.get_list("set-cookie")}
