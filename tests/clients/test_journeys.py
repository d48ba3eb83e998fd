"""A page with the client in three engines, before a real BFF and a simulated Okta."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bff.session.session import EndReason
from tests.clients.served_page import ALICE, DEEP, comes_of, served, shows, sign_in, status_of
from tests.clients.windows import Windows

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]


async def test_sign_in_by_redirect_comes_back_to_the_same_place(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world, DEEP)
        assert await status_of(windows, "/api/orders") == 200


async def test_sign_out_in_one_of_ten_tabs_reaches_all(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        (first,) = await windows.handles()
        tabs = [first]
        for _ in range(9):
            tabs.append(await windows.new_tab())
            await windows.open(world.public_url)
            await shows(windows, ALICE)
        await windows.click("#sign-out")
        await windows.until(lambda url: urlsplit(url).port != urlsplit(world.public_url).port or url.endswith("/"))
        for tab in tabs[:-1]:
            await windows.switch(tab)
            await shows(windows, "anonymous signed_out")
        assert len(await world.bff.stores.sessions.find("sub", world.sub())) == 0


async def test_the_end_by_an_operator_reaches_a_page_that_asks_nothing(
    tmp_path: Path, spa: Path, windows: Windows
) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        session = await world.stored()
        await world.bff.flows.sessions.end_sessions.these([session], EndReason.OPERATOR)
        await shows(windows, "anonymous operator")


async def test_a_jump_of_the_clock_signs_no_one_out(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        for hours in (-24, 24):  # the device was asleep, or its clock was wrong
            await windows.evaluate(f"const now = Date.now.bind(Date); Date.now = () => now() + {hours} * 3600e3")
            await windows.evaluate("dispatchEvent(new Event('focus')); void client.bff.session.refresh(true)")
            await shows(windows, ALICE)
        world.advance(3700)
        await windows.evaluate("void client.bff.session.refresh(true)")
        await shows(windows, "anonymous idle_timeout")


async def test_the_back_button_shows_no_session_that_has_ended(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        await windows.open(world.public_url.replace("localhost", "127.0.0.1") + "/auth/session")
        await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
        await windows.evaluate("history.back()")
        await windows.until(lambda url: url.startswith(world.public_url))
        await shows(windows, "anonymous operator")


async def test_the_idle_warning_goes_when_the_user_stays(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        world.advance(3600 - 100)
        await windows.evaluate("void client.bff.session.refresh(true)")
        await shows(windows, f"{ALICE} expiring")
        await windows.click("#extend")
        await shows(windows, ALICE)
        assert await comes_of(windows, "extend") == "authenticated"
