"""An API asks for a stronger or fresher sign-in (RFC 9470), and gets it: from its refusal to its answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.bank import TWO_FACTORS, Bank
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page
from tests.harness.world import World, small_world


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def world(tmp_path: Path, bank: Bank) -> AsyncIterator[World]:
    async with small_world(tmp_path, api=bank, acr_values=TWO_FACTORS) as world:
        bank.now = world.clock()
        yield world


def asked_of_okta(browser: Browser) -> dict[str, list[str]]:
    (last,) = [each for each in browser.seen if "/v1/authorize" in str(each.request.url)][-1:]
    return parse_qs(urlsplit(str(last.request.url)).query)


async def refused(browser: Browser, path: str) -> dict[str, Any]:
    answer = await browser.fetch(path)
    assert answer.status_code == 401
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == "step_up_required"
    return problem


async def test_a_stronger_sign_in_opens_what_the_api_kept_closed(world: World) -> None:
    browser = await world.signed_in()
    before = browser.cookie("bff-session")
    problem = await refused(browser, "/api/transfer")
    assert (await browser.session())["authenticated"]  # nobody is signed out by it
    page = await browser.navigate(problem["sign_in_url"] + "%2Ftransfer%3Fto%3Dbob")
    landed = await browser.fill_in(page)
    assert asked_of_okta(browser)["acr_values"] == [TWO_FACTORS]
    assert urlsplit(str(landed.url)).path == "/transfer"
    assert (await browser.fetch("/api/transfer")).status_code == 200
    assert browser.cookie("bff-session") != before


async def test_a_fresher_sign_in_opens_what_the_api_kept_closed(world: World, bank: Bank) -> None:
    browser = await world.signed_in()
    assert (await browser.fetch("/api/limit")).status_code == 200
    world.advance(1000)
    bank.now = world.clock()
    problem = await refused(browser, "/api/limit")
    page = await browser.navigate(problem["sign_in_url"])
    await browser.fill_in(page)
    assert asked_of_okta(browser)["max_age"] == ["300"]
    assert (await browser.fetch("/api/limit")).status_code == 200


@pytest.mark.case("AZ-068")
async def test_a_sign_in_that_is_not_what_was_asked_for_is_not_taken(world: World) -> None:
    browser = await world.signed_in()
    before = browser.cookie("bff-session")
    problem = await refused(browser, "/api/transfer")
    world.okta.control.settings(id_token_claims={"acr": "urn:okta:loa:1fa:pwd"})
    page = await browser.fill_in(await browser.navigate(problem["sign_in_url"]))
    assert error_page(page) == (502, "sign_in_failed")
    # The session that was there is there still.
    assert browser.cookie("bff-session") == before
    assert (await browser.session())["authenticated"]
