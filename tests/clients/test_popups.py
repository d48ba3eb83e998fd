"""A sign-in and a step-up in a popup: the page stays as it is, in three engines."""

from pathlib import Path

import pytest

from bff.session.session import EndReason
from tests.clients.served_page import (
    ALICE,
    DEEP,
    begins_to_record,
    comes_of,
    fill_in_credentials,
    only,
    opened,
    served,
    shows,
    shows_no_user,
    sign_in,
    states_seen,
    status_of,
)
from tests.clients.windows import WITHIN, Windows
from tests.harness.bank import TWO_FACTORS, Bank
from tests.harness.waiting import until

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]


async def test_sign_in_by_popup_keeps_what_was_typed(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await windows.open(world.public_url + DEEP)
        await shows_no_user(windows)
        await windows.fill_in("#draft", "half a sentence")
        (page,) = await windows.handles()
        await windows.click("#popup")
        popup = await opened(windows, page)
        await windows.switch(popup)
        await fill_in_credentials(windows)
        await until(lambda: only(windows, page), within=WITHIN)
        await windows.switch(page)
        assert await comes_of(windows, "popup") is True
        await shows(windows, ALICE)
        assert await windows.evaluate("return document.querySelector('#draft').value") == "half a sentence"
        assert await windows.url() == world.public_url + DEEP


async def test_a_request_waits_for_the_sign_in_and_reaches_the_api_once(
    tmp_path: Path, spa: Path, windows: Windows
) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        await windows.fill_in("#draft", "half a sentence")
        await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
        await shows(windows, "anonymous operator")
        await windows.evaluate(
            "client.bff.fetch('/api/orders', { method: 'POST', body: 'an order' })"
            ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results.call = found))"
        )
        (page,) = await windows.handles()
        await windows.click("#popup")  # the provider's session needs no password
        assert await comes_of(windows, "popup") is True
        assert await comes_of(windows, "call") == 200
        orders = [heard for heard in world.upstream.heard if heard.method == "POST"]
        assert [heard.body for heard in orders] == [b"an order"]
        assert await windows.evaluate("return document.querySelector('#draft').value") == "half a sentence"
        await until(lambda: only(windows, page), within=WITHIN)


async def test_a_step_up_in_a_popup_keeps_the_page_and_the_session(tmp_path: Path, spa: Path, windows: Windows) -> None:
    bank = Bank()
    async with served(tmp_path, spa, windows, api=bank, acr_values=TWO_FACTORS) as world:
        await sign_in(windows, world, DEEP)
        await windows.fill_in("#draft", "half a sentence")
        await begins_to_record(windows)
        before = await world.stored()
        await windows.evaluate(
            "client.bff.fetch('/api/transfer')"
            ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results.call = found))"
        )

        async def asked() -> bool:
            return bool(await windows.evaluate("return client.problem?.code === 'step_up_required'"))

        await until(asked, within=WITHIN)
        (page,) = await windows.handles()
        await windows.click("#step-up")
        await windows.switch(await opened(windows, page))
        await fill_in_credentials(windows, "123456")
        await until(lambda: only(windows, page), within=WITHIN)
        await windows.switch(page)
        assert await comes_of(windows, "step-up") is True
        assert await comes_of(windows, "call") == 200, "the request has waited for the step-up"
        assert await status_of(windows, "/api/transfer", "POST") == 200
        assert (await world.stored()).key != before.key
        assert await states_seen(windows) <= {ALICE, f"{ALICE} stale"}, "a step-up never looks like signed out"
        assert await windows.evaluate("return document.querySelector('#draft').value") == "half a sentence"
        assert await windows.url() == world.public_url + DEEP
