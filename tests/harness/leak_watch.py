"""Reads everything that reaches a browser, and looks for tokens in it."""

import asyncio
import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import BrowserContext, Error, Page, Request, Response

from tests.harness.waiting import until

JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
NAMED: Final = re.compile(
    r'"(?:access_token|refresh_token|id_token)"\s*:\s*"[^"]{16}|[?&#](?:access_token|refresh_token)='
)
WORD: Final = re.compile(r"[A-Za-z0-9_-]{16,}")


@dataclass  # no slots: playwright keeps its wrappers of bound methods on the object
class LeakWatch:
    """Every text that came into the browser from the app's origin, with where it was; and every cookie that was set."""

    origin: str
    texts: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)  # paths whose body was read
    authorization_sent: list[str] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def watch(self, context: BrowserContext, page: Page) -> None:
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        # Streams never end; the protocol tells each event and each frame.
        protocol = await context.new_cdp_session(page)
        await protocol.send("Network.enable")
        protocol.on("Network.eventSourceMessageReceived", self._on_event)
        protocol.on("Network.webSocketFrameReceived", self._on_frame)

    def _on_event(self, event: dict[str, Any]) -> None:
        self.read.add("event-stream")
        self.texts.append(("event-stream", event["data"]))

    def _on_frame(self, frame: dict[str, Any]) -> None:
        self.read.add("web-socket")
        self.texts.append(("web-socket", frame["response"]["payloadData"]))

    def _on_request(self, request: Request) -> None:
        self.texts.append(("URL", request.url))
        if "authorization" in request.headers:
            self.authorization_sent.append(request.url)

    def _on_response(self, response: Response) -> None:
        if response.url.startswith(self.origin):
            task = asyncio.ensure_future(self._take(response))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, response: Response) -> None:
        path = urlsplit(response.url).path
        try:
            for header in await response.headers_array():
                self.texts.append((f"header of {path}", f"{header['name']}: {header['value']}"))
                if header["name"].lower() == "set-cookie":
                    self.cookies.append(header["value"])
            if "event-stream" in response.headers.get("content-type", ""):
                return
            body = await response.text()
        except (Error, UnicodeDecodeError):
            return  # a redirect, or the page had gone: the browser has no body either
        self.read.add(path)
        self.texts.append((f"body of {path}", body))

    async def has_read(self, *what: str) -> None:
        """Returns when the body of all these has come: the page shows an answer a moment sooner."""
        await until(lambda: set(what) <= self.read)

    async def look_into(self, page: Page) -> None:
        """What scripts can reach: cookies, storage, the page itself."""
        reachable = await page.evaluate(
            """async () => JSON.stringify({
                 cookie: document.cookie,
                 local: {...localStorage}, session: {...sessionStorage},
                 databases: await indexedDB.databases(),
                 caches: await (globalThis.caches?.keys() ?? []),
                 globals: Object.keys(globalThis).filter((name) => typeof globalThis[name] === "string")
                                .map((name) => globalThis[name]),
                 page: document.documentElement.outerHTML,
               })"""
        )
        self.texts.append(("what scripts can reach", reachable))
        seen = json.loads(reachable)
        assert seen["cookie"] == ""
        assert (seen["local"], seen["session"], seen["databases"], seen["caches"]) == ({}, {}, [], [])

    async def assert_no_token(self, refresh_token_fingerprints: set[str]) -> None:
        if self._tasks:
            # What is still on its way belongs to a page that goes on working; the next look finds it.
            await asyncio.wait(set(self._tasks), timeout=5)
        assert refresh_token_fingerprints, "the simulator told of no refresh token, so this net would catch nothing"
        assert self.authorization_sent == []
        for where, text in self.texts:
            for found in JWT.findall(text):
                assert _is_id_token_for_sign_out(found, where, text), f"a JWT in a {where}"
            assert not NAMED.search(text), f"a token by its name in a {where}"
            caught = {_fingerprint(word) for word in WORD.findall(text)} & refresh_token_fingerprints
            assert not caught, f"refresh token {caught} in a {where}"


def _fingerprint(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:8]


def _is_id_token_for_sign_out(jwt: str, where: str, text: str) -> bool:
    """OpenID Connect RP-Initiated Logout puts the ID token into the sign-out URL; it opens nothing."""
    text = re.sub(r"^location: ", "", text, flags=re.IGNORECASE) if where == "header of /auth/logout/provider" else text
    if where not in ("header of /auth/logout/provider", "URL"):
        return False
    for url in re.findall(r'^https?://[^\s"]+/v1/logout\?[^\s"]+$', text):
        if parse_qs(urlsplit(url).query).get("id_token_hint") == [jwt]:
            claims = json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))
            # Not by its nonce: the ID token that a renewal brings has none.
            return "at_hash" in claims and "scp" not in claims
    return False
