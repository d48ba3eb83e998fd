"""WebKitGTK as the machine has it, driven by WebKitWebDriver (W3C WebDriver over HTTP), on a display of its own."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.harness.ports import free_port
from tests.harness.waiting import until

WITHIN: Final = 120  # seconds, for a machine that is busy; a limit that fails a test
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.1


class WebKitError(Exception):
    """What WebKitWebDriver says of a command that it could not carry out."""


class WebKit:
    """The current one of the windows. Every method waits until the command is done."""

    def __init__(self, http: httpx.AsyncClient, session: str) -> None:
        self._http, self._session = http, session

    async def open(self, url: str) -> None:
        await self.command("POST", "/url", url=url)

    async def url(self) -> str:
        return str(await self.command("GET", "/url"))

    async def evaluate(self, script: str) -> Any:
        """What the body of a function returns in the page."""
        return await self.command("POST", "/execute/sync", script=script, args=[])

    async def cookies(self) -> dict[str, str]:
        """Of the page's host, HttpOnly ones too."""
        return {cookie["name"]: cookie["value"] for cookie in await self.command("GET", "/cookie")}

    async def fill_in(self, selector: str, text: str) -> None:
        await self.command("POST", f"/element/{await self._element(selector)}/value", text=text)

    async def click(self, selector: str) -> None:
        await self.command("POST", f"/element/{await self._element(selector)}/click")

    async def new_tab(self) -> str:
        """Opens a window and goes on in it. Returns its handle."""
        handle = str((await self.command("POST", "/window/new", type="tab"))["handle"])
        await self.switch(handle)
        return handle

    async def handles(self) -> list[str]:
        """Of all windows, in no order."""
        return list(await self.command("GET", "/window/handles"))

    async def switch(self, handle: str) -> None:
        await self.command("POST", "/window", handle=handle)

    async def close(self) -> None:
        """Closes the current window. Go on with `switch`."""
        await self.command("DELETE", "/window")

    async def until(self, condition: Callable[[str], bool]) -> str:
        """The address, once it fulfils the condition."""
        url = ""

        async def fulfilled() -> bool:
            nonlocal url
            return condition(url := await self.url())

        await until(fulfilled, within=WITHIN)
        return url

    async def _element(self, selector: str) -> str:
        found = await self.command("POST", "/element", using="css selector", value=selector)
        return str(found[_ELEMENT])

    async def command(self, method: str, path: str, **parameters: Any) -> Any:
        body = parameters if method == "POST" else None
        answer = await self._http.request(method, f"/session/{self._session}{path}", json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise WebKitError(f"{value['error']}: {value['message']}")
        return value


def _mini_browser() -> str:
    """The smallest browser around the engine, which Debian ships with it for WebDriver."""
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))
    if not found or shutil.which("WebKitWebDriver") is None or shutil.which("Xvfb") is None:
        raise RuntimeError("WebKitGTK is missing. Install it with: scripts/need WebKitWebDriver Xvfb")
    return str(found[-1])


@asynccontextmanager
async def _process(*command: str, environ: dict[str, str], log: Path, **options: Any) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, **options
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _display(folder: Path) -> AsyncIterator[str]:
    """The name of a display that belongs to this browser alone."""
    reading, writing = os.pipe()
    command = ("Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp")
    async with _process(*command, environ=dict(os.environ), log=folder / "display.log", pass_fds=[writing]):
        os.close(writing)
        with os.fdopen(reading) as announced:
            async with asyncio.timeout(WITHIN):
                yield f":{(await asyncio.to_thread(announced.readline)).strip()}"


@asynccontextmanager
async def webkit(folder: Path) -> AsyncIterator[WebKit]:
    """`folder` becomes its home. Raises RuntimeError with the line that installs it, where it is missing."""
    browser = _mini_browser()
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    async with _display(folder) as display:
        environ = {
            **os.environ,
            "HOME": str(folder),
            "DISPLAY": display,
            "GDK_BACKEND": "x11",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
            "NO_AT_BRIDGE": "1",
        }
        driver = ("WebKitWebDriver", f"--port={port}", "--host=127.0.0.1")
        async with (
            _process(*driver, environ=environ, log=folder / "webkit.log"),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN, trust_env=False) as http,
        ):

            async def listens() -> bool:
                try:
                    return (await http.get("/status")).is_success
                except httpx.TransportError:
                    return False

            await until(listens, within=WITHIN)
            wanted = {"webkitgtk:browserOptions": {"binary": browser, "args": ["--automation"]}}
            answer = await http.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
            assert answer.is_success, answer.text
            session = answer.json()["value"]["sessionId"]
            try:
                yield WebKit(http, session)
            finally:
                await http.delete(f"/session/{session}")
