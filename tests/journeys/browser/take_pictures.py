"""`python -m tests.journeys.browser.take_pictures`: the pictures of docs/images, taken of the running demo.

It does what a curious person would do, at the demo's own pace, and so takes two minutes.
"""

import asyncio
from pathlib import Path
from typing import Final, Literal

from tests.harness.chromium import chromium
from tests.harness.person import PATIENCE, Person
from tests.harness.running_demo import ROOT, DemoProcess, RunningDemo

IMAGES: Final = ROOT / "docs" / "images"
LIFETIME: Final = 15  # seconds


async def take_pictures(demo: RunningDemo, folder: Path) -> None:
    async with chromium() as browser:
        context = await browser.new_context(
            viewport={"width": 1280, "height": 900}, device_scale_factor=1.5, locale="en-GB", reduced_motion="reduce"
        )
        person = await Person.at(demo, context)
        await person.open()
        await person.sees_that_nobody_is_signed_in()
        await _picture(person, folder / "demo-signed-out.png", "light", height=900)
        await person.sign_in()
        await person.presses("Call the API")
        await person.presses("Lose the next token answer")
        await person.sees("#trial-lose .result", "You are still signed in")
        await person.presses("Take Okta down for 20 s")
        await person.reads_in_the_journal("503 with Retry-After")
        await person.presses("Open 50 calls at once")
        await person.sees("#trial-calls .result", "You are still signed in")
        await person.sees("#trial-down .result", "You are still signed in")
        await person.page.locator("#beats i.ok").nth(40).wait_for(timeout=4 * PATIENCE)
        await _picture(person, folder / "demo.png", "light", height=1260)
        await _picture(person, folder / "demo-dark.png", "dark", height=1260)
        await person.page.set_viewport_size({"width": 390, "height": 844})
        await _picture(person, folder / "demo-narrow.png", "light", height=844)


async def _picture(person: Person, path: Path, scheme: Literal["light", "dark"], *, height: int) -> None:
    page = person.page
    width = (page.viewport_size or {"width": 1280})["width"]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme=scheme)
    await page.evaluate("scrollTo(0, 0)")
    # Two frames: one in which the page takes its new shape, one in which it has been painted.
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.screenshot(path=path)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    process = DemoProcess(lifetime=LIFETIME)
    try:
        asyncio.run(take_pictures(process.wait_until_ready(), IMAGES))
    finally:
        process.stop()


if __name__ == "__main__":
    main()
