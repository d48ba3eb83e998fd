"""The demo as it is, for three minutes: 200 calls, two lost token answers, nobody signed out, no alarm at Okta."""

import asyncio

import pytest

from tests.harness.http_browser import Browser
from tests.harness.running_demo import DemoProcess


@pytest.mark.long
async def test_two_hundred_calls_in_three_minutes_with_two_lost_answers(request: pytest.FixtureRequest) -> None:
    demo = DemoProcess(lifetime=30)
    request.addfinalizer(demo.stop)
    okta = await asyncio.to_thread(demo.wait_until_ready)
    browser = Browser(okta.url)
    try:
        await browser.sign_in(okta.login)
        statuses: dict[int, int] = {}
        for call in range(200):
            if call in (40, 130):
                await asyncio.to_thread(okta.okta, "/faults", {"kind": "lose_answer", "times": 1})
            status = (await browser.fetch("/api/orders")).status_code
            statuses[status] = statuses.get(status, 0) + 1
            await asyncio.sleep(0.9)
        state = await asyncio.to_thread(okta.okta, "/state")
        family = state["families"][0]
        print(
            f"statuses {statuses}, renewals {family['rotation_count']}, answers sent again {family['resends']}, "
            f"reuse alarms {state['reuse_alarms']}"
        )
        assert statuses == {200: 200}
        assert (state["reuse_alarms"], family["resends"]) == (0, 2)
    finally:
        await browser.close()
