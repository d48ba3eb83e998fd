"""Firefox as the machine has it, driven by Marionette: its own remote protocol, for which nothing more has to be
installed. Headless unless HEADED=1. Messages are JSON with their length in front, over a loopback socket.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.harness.chromium import HEADED, check_display
from tests.harness.waiting import until

WITHIN: Final = 120  # seconds, for a machine that is busy; a limit that fails a test
PREFERENCES: Final = {
    "marionette.port": 0,  # a free one, which Firefox writes into its profile
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.newtabpage.enabled": False,
    "devtools.jsonview.enabled": False,  # shows JSON as it came
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.server": "",
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "extensions.update.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
}
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.1


class FirefoxError(Exception):
    """What Firefox says of a command that it could not carry out."""


class Firefox:
    """One window. Every method waits until the command is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._ids = reader, writer, count(1)

    async def open(self, url: str) -> None:
        """Raises FirefoxError for a page that cannot be shown at all; an error's page of the server is one like any."""
        await self.command("WebDriver:Navigate", url=url)

    async def url(self) -> str:
        return str((await self.command("WebDriver:GetCurrentURL"))["value"])

    async def evaluate(self, script: str) -> Any:
        """What the body of a function returns in the page."""
        return (await self.command("WebDriver:ExecuteScript", script=script, args=[]))["value"]

    async def cookies(self) -> dict[str, str]:
        """Of the page's host, HttpOnly ones too."""
        found = await self.command("WebDriver:GetCookies")
        cookies = found if isinstance(found, list) else found["value"]
        return {cookie["name"]: cookie["value"] for cookie in cookies}

    async def fill_in(self, selector: str, text: str) -> None:
        await self.command("WebDriver:ElementSendKeys", id=await self._element(selector), text=text)

    async def click(self, selector: str) -> None:
        await self.command("WebDriver:ElementClick", id=await self._element(selector))

    async def until(self, condition: Callable[[str], bool]) -> str:
        """The address, once it fulfils the condition."""
        url = await self.url()

        async def fulfilled() -> bool:
            nonlocal url
            return condition(url := await self.url())

        await until(fulfilled, within=WITHIN)
        return url

    async def new_tab(self) -> str:
        """Opens a tab and goes on in it. Returns its handle."""
        handle = str((await self.command("WebDriver:NewWindow", type="tab"))["handle"])
        await self.switch(handle)
        return handle

    async def handles(self) -> list[str]:
        """Of all tabs and popups, in no order."""
        found = await self.command("WebDriver:GetWindowHandles")
        return list(found if isinstance(found, list) else found["value"])

    async def switch(self, handle: str) -> None:
        await self.command("WebDriver:SwitchToWindow", handle=handle)

    async def close(self) -> None:
        """Closes the current window. Go on with `switch`."""
        await self.command("WebDriver:CloseWindow")

    async def _element(self, selector: str) -> str:
        found = await self.command("WebDriver:FindElement", using="css selector", value=selector)
        return str(found["value"][_ELEMENT])

    async def command(self, name: str, **parameters: Any) -> Any:
        number = next(self._ids)
        message = json.dumps([0, number, name, parameters]).encode()
        self._writer.write(b"%d:%s" % (len(message), message))
        async with asyncio.timeout(WITHIN):
            _, answered, error, result = await self._receive()
        assert answered == number
        if error is not None:
            raise FirefoxError(f"{error['error']}: {error['message']}")
        return result

    async def _receive(self) -> Any:
        length = (await self._reader.readuntil(b":"))[:-1]
        return json.loads(await self._reader.readexactly(int(length)))

    async def begin(self) -> None:
        greeting = await self._receive()
        assert greeting["marionetteProtocol"] == 3, greeting
        await self.command("WebDriver:NewSession")


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Firefox]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        window = Firefox(reader, writer)
        await window.begin()
        yield window
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def firefox(folder: Path, **preferences: int) -> AsyncIterator[Firefox]:
    """`folder` becomes its home; `preferences` have `__` for a dot.

    Raises RuntimeError with the line that installs it, where it is missing.
    """
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        raise RuntimeError("Firefox is missing. Install it with: scripts/need firefox-esr")
    profile = folder / "profile"
    profile.mkdir(parents=True)
    chosen = {**PREFERENCES, **{name.replace("__", "."): value for name, value in preferences.items()}}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
    (profile / "user.js").write_text("".join(lines))
    check_display()
    environ = {**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with (folder / "firefox.log").open("wb") as log:
        arguments = [*([] if HEADED else ["--headless"]), "--no-remote", "--marionette", "--profile", str(profile)]
        process = await asyncio.create_subprocess_exec(program, *arguments, env=environ, stdout=log, stderr=log)
    try:
        port = profile / "MarionetteActivePort"
        await until(
            lambda: process.returncode is not None or (port.exists() and port.read_text().strip()), within=WITHIN
        )
        assert process.returncode is None, (folder / "firefox.log").read_text()
        async with connected(int(port.read_text())) as window:
            yield window
            # Quits by itself, so that its child processes go with it.
            await window.command("Marionette:Quit", flags=["eForceQuit"])
        async with asyncio.timeout(WITHIN):
            await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
