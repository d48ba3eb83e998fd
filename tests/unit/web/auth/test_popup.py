"""A sign-in in a popup ends on a page of ours, whatever its outcome, and leads nowhere else."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from bff.web.auth.landing import LANDING
from bff.web.popup_page import CHANNEL, POPUP, announcement, is_popup, popup_path
from bff.web.return_path import return_path
from tests.harness.asgi_call import Response
from tests.harness.web_parts import CALLBACK, CROSS_SITE, FETCH, FORM, Browser, WebParts, web_parts

ID = "popup-id_0123456789"
QUERY = f"?mode=popup&popup_id={ID}&return_to=/orders"


def announced(response: Response) -> dict[str, str]:
    """What the script of a page announces. The policy of the page allows exactly this script."""
    text = response.body.decode()
    [(attributes, script)] = re.findall(r"<script ([^>]*)>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = response.one("content-security-policy") or ""
    assert f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'sha256-" in policy
    assert "'unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert CHANNEL in script
    return dict(re.findall(r'data-(\w+)="([^"]*)"', attributes))


async def test_a_sign_in_ends_on_the_page_that_announces_it(browser: Browser) -> None:
    response = await browser.sign_in(QUERY)
    assert (response.status, response.one("location")) == (303, f"{POPUP}?id={ID}")
    page = await browser.navigate(f"{POPUP}?id={ID}", *CROSS_SITE)
    assert (page.status, announced(page)) == (200, {"id": ID, "outcome": "finished", "code": ""})
    assert (page.one("cache-control"), page.one("referrer-policy")) == ("no-store", "no-referrer")
    assert page.all("set-cookie") == []
    assert (await browser.session())["authenticated"] is True


@pytest.mark.parametrize("error", ["login_required", "temporarily_unavailable"])
async def test_a_silent_check_ends_there_too(browser: Browser, error: str) -> None:
    asked = await browser.begin(f"{QUERY}&prompt=none")
    response = await browser.navigate(f"{CALLBACK}?error={error}&state={asked['state']}", *CROSS_SITE)
    assert (response.status, response.one("location")) == (303, f"{POPUP}?id={ID}")


@pytest.mark.parametrize(("error", "code"), [("access_denied", "sign_in_refused"), ("invalid_scope", "sign_in_failed")])
async def test_an_error_is_announced_and_the_page_stays(browser: Browser, error: str, code: str) -> None:
    asked = await browser.begin(QUERY)
    page = await browser.navigate(f"{CALLBACK}?error={error}&state={asked['state']}", *CROSS_SITE)
    assert announced(page) == {"id": ID, "outcome": "failed", "code": code}
    [again] = re.findall(r'href="(/auth/login[^"]*)"', page.body.decode())
    retried = await browser.begin(again.removeprefix("/auth/login").replace("&amp;", "&"))
    assert (await browser.finish(retried)).one("location") == f"{POPUP}?id={ID}"


async def test_errors_before_the_provider_are_announced(browser: Browser, parts: WebParts) -> None:
    page = await browser.navigate(f"/auth/login{QUERY}&prompt=never-allowed")
    assert (page.status, announced(page)["code"]) == (400, "invalid_request")
    parts.provider.available = False
    page = await browser.navigate(f"/auth/login{QUERY}")
    assert (page.status, announced(page)) == (503, {"id": ID, "outcome": "failed", "code": "provider_unavailable"})


async def test_an_error_outside_a_popup_runs_no_script(browser: Browser) -> None:
    page = await browser.navigate("/auth/login?prompt=never-allowed&return_to=/orders")
    assert (page.status, b"<script" in page.body) == (400, False)
    assert "script-src" not in (page.one("content-security-policy") or "")


async def test_a_form_keeps_the_popup(browser: Browser) -> None:
    response = await browser.send("POST", "/auth/login", *CROSS_SITE, FORM, body=QUERY[1:].encode())
    assert response.status == 303
    asked = await browser.begin((response.one("location") or "").removeprefix("/auth/login"))
    assert (await browser.finish(asked)).one("location") == f"{POPUP}?id={ID}"


async def test_a_form_post_response_reaches_it_by_the_landing_page(tmp_path: Path) -> None:
    async with web_parts(tmp_path, response_mode="form_post") as parts:
        browser = parts.browser()
        asked = await browser.begin(QUERY)
        body = f"code=c-1&state={asked['state']}".encode()
        response = await browser.send("POST", CALLBACK, *CROSS_SITE, FORM, body=body, without="session")
        location = response.one("location") or ""
        assert location.startswith(f"{LANDING}?to=/auth/popup")
        assert f'content="0; url={POPUP}?id={ID}"'.encode() in (await browser.navigate(location)).body


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?mode=popup", 303),
        ("?mode=window", 400),
        ("?mode=popup&popup_id=short", 400),
        (f"?mode=popup&popup_id={'x' * 65}", 400),
        ("?mode=popup&popup_id=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", 400),
        ("?mode=popup&mode=popup", 400),
    ],
)
async def test_the_mode_is_checked(browser: Browser, query: str, status: int) -> None:
    response = await browser.navigate(f"/auth/login{query}")
    assert response.status == status
    assert b"<script" not in response.body


@pytest.mark.parametrize(
    "wanted",
    [
        f"{POPUP}/",
        f"{POPUP}?id={ID}&to=//evil.test",
        f"{POPUP}?id={ID}#x",
        f"{POPUP}?id={ID}\n",
        f"{POPUP}?id=a",
        f"//evil.test{POPUP}",
        "/auth/logout",
    ],
)
def test_no_other_page_of_ours_is_a_return_path(parts: WebParts, wanted: str) -> None:
    assert not is_popup(wanted)
    assert return_path(wanted, parts.settings.browser) == "/"
    assert return_path(popup_path(ID), parts.settings.browser) == f"{POPUP}?id={ID}"


async def test_the_page_is_for_navigations_and_its_id_is_no_markup(browser: Browser) -> None:
    assert (await browser.navigate(POPUP, *FETCH)).problem == (403, "navigation_required")
    bad = await browser.navigate(f"{POPUP}?id=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert (bad.status, b"alert" in bad.body) == (400, False)
    assert announced(await browser.navigate(POPUP))["id"] == ""
    assert announcement("/orders", '"><b>').startswith('<script data-id="" data-outcome="failed" data-code="&quot;&gt;')
