"""The demo's trial with copied cookies in a browser that binds sessions, and its other client when the time is over."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.other_client import Call, OtherClient, other_client
from tests.device_bound.old_chromium import old_chromium
from tests.device_bound.scene import scene
from tests.harness.person import Person
from tests.harness.running_demo import DemoProcess
from tests.harness.waiting import until

pytestmark = pytest.mark.device_bound


async def test_the_page_shows_that_a_copied_session_cookie_is_refused(tmp_path: Path) -> None:
    demo = DemoProcess(device_bound="enforce")
    try:
        running = await asyncio.to_thread(demo.wait_until_ready)
        async with old_chromium(tmp_path / "profile") as context:
            person = await Person.at(running, context)
            await person.sign_in()

            async def is_bound() -> bool:
                return (await person.call("/auth/session"))["json"]["device_bound"] is True

            await until(is_bound)
            await person.presses("Copy the cookies")
            # For 30 seconds after the registration, requests without the cookie are answered.
            await person.sees("#trial-copy .result", "session cookie alone is refused: 401, device_binding_lost")
            await person.sees("#trial-copy .result", "All cookies together work until")
            await person.sees_that_they_are_signed_in()
            assert (await person.call("/api/orders"))["status"] == 200
    finally:
        demo.stop()


async def test_the_other_client_is_refused_when_the_bound_cookie_has_expired(tmp_path: Path) -> None:
    refused = Call(401, "device_binding_lost")
    async with scene(tmp_path) as on:
        copy = OtherClient(on.world.public_url, urlsplit(on.world.public_url).port or 0, "enforce", 600)
        with other_client(copy) as port:
            await on.establish()
            window = await on.context.new_page()
            await window.goto(f"http://localhost:{port}/copy")
            assert await asyncio.to_thread(copy.call_with_all) == Call(200, None)
            assert await asyncio.to_thread(copy.call_without_bound_cookie) == refused
            await on.expire(601)
            assert (await on.fetch("/api/x"))[0] == 200
            assert await asyncio.to_thread(copy.call_with_all) == refused
            assert (await on.fetch("/api/x"))[0] == 200
