"""Signing out without a script, and what a navigation to an address of the application itself shows."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.world import World, small_world

FORM = '<form method="post" action="/auth/logout"><button>Sign out</button></form>'


async def test_sign_out_by_the_page_ends_both_sessions_and_leaves_no_state_in_the_address(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    page = await browser.navigate("/auth/logout", initiator="https://another.example")
    assert page.status_code == 200
    assert FORM in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    step = await browser.submit("/auth/logout", {}, initiator="http://localhost")
    assert step.status_code == 200
    assert step.headers["clear-site-data"] == '"cache"'
    assert browser.cookie("bff-session") is None
    to = step.text.partition("url=")[2].partition('"')[0]
    provider = await browser.navigate(to, initiator="http://localhost", follow=False)
    query = parse_qs(urlsplit(provider.headers["location"]).query)
    assert query.keys() == {"id_token_hint", "client_id", "post_logout_redirect_uri"}
    landed = await browser.navigate(provider.headers["location"], initiator="http://localhost")
    assert str(landed.url) == f"{world.public_url}/"
    assert (await browser.session())["reason"] == "signed_out"


async def test_a_navigation_below_the_api_gets_a_page_and_a_fetch_problem_json(tmp_path: Path) -> None:
    async with small_world(tmp_path, route={"csrf": "fetch-metadata"}) as world:
        browser = world.browser()
        page = await browser.navigate("/api/report")
        assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "You are not signed in" in page.text
        problem = await browser.fetch("/api/report", headers={"accept": "text/html"})
        assert (problem.status_code, problem.headers["content-type"]) == (401, "application/problem+json")


async def test_a_typed_address_of_the_api_is_told_what_is_wrong(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    page = await browser.navigate("/api/report")
    assert page.status_code == 403
    assert "The address was opened directly" in page.text
    assert "another site" not in page.text


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("max_age=soon", "The parameter max_age is not a number of seconds."),
        ("prompt=none%20login", "The parameter prompt combines none with another value."),
        ("acr_values=secret-canary", "The parameter acr_values has a value that is not allowed here."),
    ],
)
async def test_the_page_of_a_bad_request_names_the_parameter_and_never_the_value(
    world: World, query: str, named: str
) -> None:
    page = await world.browser().navigate(f"/auth/login?{query}")
    assert page.status_code == 400
    assert named in page.text
    assert "canary" not in page.text
