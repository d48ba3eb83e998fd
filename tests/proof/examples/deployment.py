"""A whole small deployment of one example: a simulated Okta, the sample API, `bff serve`, the proxy, and a Chromium."""

import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from playwright.async_api import BrowserContext, Page, expect

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from demo.api.server import ApiConfig, running_api
from demo.simulator.people import PEOPLE
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.certificates import Authority
from tests.harness.chromium import chromium
from tests.harness.leak_watch import LeakWatch
from tests.harness.ports import free_port
from tests.harness.world import CLIENT_ID, CLIENT_SECRET
from tests.proof.examples.proxies import Mode, Places, settings_of
from tests.proof.live.fleet import ROOT, Process

Front: TypeAlias = Callable[[Mode, Places], AbstractAsyncContextManager[None]]

PATIENCE: Final = 30_000  # milliseconds; a limit that fails a test, not something to wait for
PAGE: Final = "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1>"


@dataclass
class Deployment:
    """`page` belongs to a browser with an empty cookie jar; `watch` reads all that reaches it."""

    url: str
    places: Places
    okta: RunningSimulator
    context: BrowserContext
    page: Page
    watch: LeakWatch
    pictures: Path

    async def signs_in_at_okta(self) -> None:
        person = PEOPLE[0]
        await self.page.get_by_label("Username").fill(person.login)
        await self.page.get_by_label("Password").fill(person.password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def sees(self, title: str) -> None:
        await expect(self.page.get_by_role("heading", name=title)).to_be_visible(timeout=PATIENCE)
        await self.page.screenshot(path=self.pictures / f"{'-'.join(re.findall('[a-z]+', title.lower()))}.png")

    async def fetch(self, path: str, **init: Any) -> dict[str, Any]:
        """What a script of the page gets: status, content type, JSON, and the protocol that it came by."""
        found: dict[str, Any] = await self.page.evaluate(
            """async ([path, {megabytes, ...init}]) => {
                 if (megabytes) init.body = new Blob([new Uint8Array(megabytes * 1024 * 1024)]);
                 const answer = await fetch(path, init);
                 const text = await answer.text();
                 let json = null;
                 try { json = JSON.parse(text) } catch {}
                 const [timing] = performance.getEntriesByName(new URL(path, location).href).slice(-1);
                 return {status: answer.status, type: answer.headers.get("Content-Type"), json,
                         protocol: timing?.nextHopProtocol};
               }""",
            [path, init],
        )
        return found

    async def holds_no_token(self) -> None:
        await self.watch.look_into(self.page)
        events = [event.as_json() for event in self.okta.control.events()]
        await self.watch.assert_no_token({e["refresh_token"] for e in events if e.get("refresh_token")})
        assert self.okta.control.violations == []


@asynccontextmanager
async def deployed(folder: Path, front: Front, mode: Mode) -> AsyncIterator[Deployment]:
    certificate = Authority(folder, "authority").issue("localhost")
    shutil.copytree(ROOT / "demo" / "spa", folder / "spa")
    (folder / "protected" / "reports").mkdir(parents=True)
    (folder / "protected" / "reports" / "index.html").write_text(PAGE.format(title="The reports"))
    ports = [free_port() for _ in range(6)]
    at = Places(*ports[:5], certificate=certificate, folder=folder)
    url = f"https://localhost:{at.port}"
    config = SimulatorConfig(
        client_id=CLIENT_ID,
        client_secrets=(CLIENT_SECRET,),
        redirect_uris=(f"{url}/authorization-code/callback",),
        post_logout_redirect_uris=(f"{url}/",),
    )
    async with running_simulator(config) as okta, running_api(ApiConfig(issuer=okta.issuer, port=at.api)):
        bff = Process("bff", ["bff", "serve"], _environ(mode, at, url, okta, ports[5]), folder, _ready(ports[5]))
        try:
            bff.start()
            await bff.answers()
            async with front(mode, at), chromium() as browser:
                context = await browser.new_context(ignore_https_errors=True)
                page = await context.new_page()
                page.set_default_timeout(PATIENCE)
                watch = LeakWatch(url)
                await watch.watch(context, page)
                yield Deployment(url, at, okta, context, page, watch, folder)
        finally:
            bff.kill()


def _ready(management: int) -> str:
    return f"http://127.0.0.1:{management}/readyz"


def _environ(mode: Mode, at: Places, url: str, okta: RunningSimulator, management: int) -> dict[str, str]:
    """The example's settings; addresses and secrets are ours."""
    environ = settings_of(mode)
    for secret in ("BFF_CLIENT_SECRET_FILE", "BFF_SESSION_KEYS_FILE"):
        del environ[secret]
    ours = {
        "BFF_ISSUER": okta.issuer,
        "BFF_CLIENT_ID": CLIENT_ID,
        "BFF_PUBLIC_URL": url,
        "BFF_STORE": f"sqlite:///{at.folder / 'bff.db'}",
        "BFF_LISTEN": f"127.0.0.1:{at.bff}",
        "BFF_TRUSTED_PROXIES": "127.0.0.1",
    }
    if mode == "forward-auth":
        ours["BFF_FORWARD_AUTH_LISTEN"] = f"127.0.0.1:{at.verify}"
    assert ours.keys() <= environ.keys()
    if mode == "proxy":
        ours["BFF_ROUTES"] = environ["BFF_ROUTES"].replace("http://api:9000", f"http://127.0.0.1:{at.api}")
    return {
        **environ,
        **ours,
        "BFF_CLIENT_SECRET": CLIENT_SECRET,
        "BFF_SESSION_KEYS": encode_base64url(new_key()),
        "BFF_MANAGEMENT_LISTEN": f"127.0.0.1:{management}",
    }
