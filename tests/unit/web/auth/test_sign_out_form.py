"""The page with a sign-out button: for a navigation, and only its own form signs a user out."""

import pytest

from bff.web.auth.logout import AT_PROVIDER
from bff.web.auth.sign_out_form import _FORM_LIMIT
from tests.harness.web_parts import CROSS_SITE, FETCH, FORM, NAVIGATION, PUBLIC_URL, Browser, WebParts

OWN_FORM = (*NAVIGATION[:2], "sec-fetch-site: same-origin", f"origin: {PUBLIC_URL}", FORM)


async def test_a_navigation_gets_the_page_from_any_site(browser: Browser) -> None:
    for lines in (NAVIGATION, CROSS_SITE):
        page = await browser.navigate("/auth/logout", *lines)
        assert (page.status, page.all("set-cookie")) == (200, [])
        assert b'<form method="post" action="/auth/logout"><button>Sign out</button></form>' in page.body
        policy = page.one("content-security-policy") or ""
        assert "form-action 'self'" in policy
        assert "frame-ancestors 'none'" in policy
    fetched = await browser.navigate("/auth/logout", *FETCH)
    assert (fetched.problem, fetched.one("allow")) == ((405, "method_not_allowed"), "POST")


async def test_the_form_signs_out_here_and_leads_to_the_provider(signed_in: Browser, parts: WebParts) -> None:
    step = await signed_in.send("POST", "/auth/logout", *OWN_FORM)
    assert (step.status, step.one("clear-site-data")) == (200, '"cache"')
    assert await parts.sessions() == []
    target = step.body.decode().partition("url=")[2].partition('"')[0]
    assert target.startswith(f"{AT_PROVIDER}?ticket=")
    assert "/v1/logout?" in ((await signed_in.navigate(target)).one("location") or "")
    again = await signed_in.send("POST", "/auth/logout", *OWN_FORM)
    assert (again.status, again.one("location")) == (303, "/")


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        ((*CROSS_SITE, FORM), b"", 403),
        ((*CROSS_SITE, "origin: https://evil.test", FORM), b"", 403),
        ((*OWN_FORM[:2], "origin: https://evil.test", FORM), b"", 403),
        (OWN_FORM, b"local=true", 400),
        (OWN_FORM, b"a=" + b"b" * _FORM_LIMIT, 413),
    ],
)
async def test_any_other_form_signs_nobody_out(
    signed_in: Browser, lines: tuple[str, ...], body: bytes, status: int
) -> None:
    assert (await signed_in.send("POST", "/auth/logout", *lines, body=body)).status == status
    assert (await signed_in.session())["authenticated"] is True
