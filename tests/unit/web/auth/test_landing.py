"""One same-site navigation for a browser that arrives from another site: to a page of ours, and nowhere else."""

import pytest

from bff.web.auth.landing import LANDING
from bff.web.auth.same_site_step import is_cross_site_navigation, same_site_step
from tests.harness.web_parts import CROSS_SITE, FETCH, Browser


@pytest.mark.parametrize(
    ("query", "to"),
    [
        ("to=/orders%3Fa=1%26b=2", "/orders?a=1&amp;b=2"),
        ("", "/"),
        ("to=https://evil.test/", "/"),
        ("to=//evil.test", "/"),
        ("to=javascript:alert(1)", "/"),
        ("to=/api/orders", "/"),
        ("to=/%22%3E%3Cscript%3E", "/"),
    ],
)
async def test_it_leads_to_a_page_of_ours(browser: Browser, query: str, to: str) -> None:
    response = await browser.navigate(f"{LANDING}?{query}", *CROSS_SITE)
    assert response.status == 200
    assert f'content="0; url={to}"'.encode() in response.body
    assert b"<script" not in response.body
    assert "default-src 'none'" in (response.one("content-security-policy") or "")
    assert response.one("x-frame-options") == "DENY"


async def test_it_is_for_navigations(browser: Browser) -> None:
    assert (await browser.navigate(LANDING, *FETCH)).problem == (403, "navigation_required")
    assert (await browser.navigate(f"{LANDING}?to=/a&to=/b")).status == 400


@pytest.mark.parametrize(
    ("mode", "site", "expected"),
    [
        (b"navigate", b"cross-site", True),
        (b"navigate", b"same-site", True),
        (b"navigate", b"same-origin", False),
        (b"navigate", b"none", False),
        (b"cors", b"cross-site", False),
    ],
)
def test_a_strict_cookie_may_be_missing_on_a_navigation_of_another_site(
    mode: bytes, site: bytes, expected: bool
) -> None:
    assert is_cross_site_navigation([(b"sec-fetch-mode", mode), (b"sec-fetch-site", site)]) is expected


def test_the_address_is_escaped() -> None:
    assert b'url=/a&quot;&lt;b"' in bytes(same_site_step('/a"<b').body)
