"""`make chaos`: the demo of docker-compose.yml on a real engine under load, while its parts are killed and filled.

Prints a table of what callers saw in each scenario; docs/proof.md has one. Ends with 1 if a session was lost. Bounded
to 15 minutes. The load is a few dozen requests a second, to the published ports of this machine's loopback only.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.harness.http_browser import FETCH, Browser
from tests.proof.containers.compose import Compose

APP: Final = "http://localhost:8080"
LIMIT: Final = 900  # seconds for everything
SESSIONS, STREAMS = 20, 8
PAUSE: Final = 0.3  # seconds between two requests of a session
GIVE_UP: Final = 20.0  # seconds that a caller waits for a response
SIGKILL, SIGSTOP, SIGCONT = 9, 19, 18
FILL = """
import redis
store = redis.Redis.from_url(open("/run/bff/store_url").read().strip())
try:
    for n in range(200): store.set(f"bff:chaos:{n}", b"x" * 8_000_000)
except redis.RedisError as error: print(error)
"""
EMPTY = """
import redis
store = redis.Redis.from_url(open("/run/bff/store_url").read().strip())
for n in range(200): store.delete(f"bff:chaos:{n}")
"""


class ToLoopback(httpx.AsyncHTTPTransport):
    """Resolves *.localhost, as browsers do."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # Another request, because the cookie jar looks at the host of the first one.
        moved = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(moved)


@dataclass
class Seen:
    """What callers saw. The times of GET requests that succeeded show how long there was none."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    successes: list[float] = field(default_factory=list)
    streams_opened: int = 0

    def add(self, method: str, outcome: str) -> None:
        self.answers[method, outcome] += 1
        if outcome == "200":
            self.successes.append(time.monotonic())

    @property
    def longest_outage(self) -> float:
        return max(
            (later - earlier for earlier, later in zip(self.successes, self.successes[1:], strict=False)), default=0
        )

    def row(self, name: str, seconds: float, lost: int) -> str:
        total = sum(self.answers.values())
        failed = Counter[str]()
        for (method, outcome), count in self.answers.items():
            if outcome != "200":
                failed[f"{method} {outcome}"] += count
        shown = ", ".join(f"{what}: {count}" for what, count in sorted(failed.items())) or "none"
        return f"| {name} | {seconds:.0f} s | {total:,} | {shown} | {self.longest_outage:.1f} s | {lost} |"


class Load:
    """Sessions that call the API, and event streams that are opened again whenever they end."""

    def __init__(self) -> None:
        self.http = httpx.AsyncClient(transport=ToLoopback(), trust_env=False, timeout=GIVE_UP)
        self.cookies: list[str] = []
        self.seen = Seen()

    async def sign_in(self) -> None:
        for number in range(SESSIONS):
            browser = Browser(APP)
            browser.http = httpx.AsyncClient(transport=ToLoopback(), trust_env=False, timeout=60)
            await browser.sign_in(("alice@example.com", "bob@example.com")[number % 2])
            self.cookies.append("; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies.jar))
            await browser.close()
            if await self.call(self.cookies[-1], "GET") != "200":
                raise SystemExit("a sign-in did not succeed, so there is nothing to measure")

    async def call(self, cookie: str, method: str) -> str:
        path = "/api/orders" if method == "GET" else "/api/echo"
        headers = {**FETCH, "x-csrf": "1", "cookie": cookie}
        try:
            return str((await self.http.request(method, APP + path, headers=headers)).status_code)
        except httpx.TimeoutException:
            return "no response"
        except httpx.TransportError:
            return "no connection"

    async def calls(self, cookie: str, over: asyncio.Event) -> None:
        number = 0
        while not over.is_set():
            method = "POST" if (number := number + 1) % 4 == 0 else "GET"
            self.seen.add(method, await self.call(cookie, method))
            await asyncio.sleep(PAUSE)

    async def streams(self, cookie: str, over: asyncio.Event) -> None:
        headers = {**FETCH, "accept": "text/event-stream", "cookie": cookie}
        while not over.is_set():
            with suppress(httpx.HTTPError):
                async with self.http.stream("GET", APP + "/api/time", headers=headers) as response:
                    self.seen.streams_opened += 1
                    async for _ in response.aiter_bytes():
                        if over.is_set():
                            break
            await asyncio.sleep(1)

    async def during(self, scenario: Callable[[], Awaitable[None]]) -> tuple[Seen, float]:
        self.seen, over, begun = Seen(), asyncio.Event(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for cookie in self.cookies:
                group.create_task(self.calls(cookie, over))
            for cookie in self.cookies[:STREAMS]:
                group.create_task(self.streams(cookie, over))
            await asyncio.sleep(3)
            try:
                await scenario()
                await asyncio.sleep(3)
            finally:
                over.set()
        return self.seen, time.monotonic() - begun

    async def lost(self) -> int:
        """How many sessions have ended. Any response but 200 and 401 is asked again."""

        async def ended(cookie: str) -> bool:
            while (outcome := await self.call(cookie, "GET")) not in ("200", "401"):
                await asyncio.sleep(0.5)
            return outcome == "401"

        return sum(await asyncio.gather(*(ended(cookie) for cookie in self.cookies)))


def scenarios(compose: Compose) -> dict[str, Callable[[], Awaitable[None]]]:
    async def run(function: Callable[..., object], *arguments: object) -> None:
        await asyncio.to_thread(function, *arguments)

    async def quiet() -> None:
        await asyncio.sleep(10)

    async def killed() -> None:
        await run(compose.signal, "bff-1", SIGKILL)
        await asyncio.sleep(10)

    async def stopped() -> None:
        await run(compose.signal, "bff-1", SIGSTOP)
        await asyncio.sleep(55)
        await run(compose.signal, "bff-1", SIGCONT)
        await asyncio.sleep(5)

    async def restarted(service: str) -> None:
        await run(compose, "restart", service)
        await asyncio.sleep(10)

    async def redis_paused() -> None:
        await run(compose, "pause", "redis")
        await asyncio.sleep(4)
        await run(compose, "unpause", "redis")
        await asyncio.sleep(10)

    async def redis_full() -> None:
        filled = await asyncio.to_thread(compose.inside, "bff-1", "python", "-c", FILL)
        if "maxmemory" not in filled.stdout:
            raise SystemExit(f"Redis is not full: {filled.stdout} {filled.stderr}")
        await asyncio.sleep(10)
        await run(compose.inside, "bff-1", "python", "-c", EMPTY)
        await asyncio.sleep(10)

    async def upgraded() -> None:
        for service in ("bff-1", "bff-2"):
            await run(compose, "up", "--detach", "--no-deps", "--force-recreate", "--wait", service)

    return {
        "nothing": quiet,
        "kill -9 of a replica": killed,
        "SIGSTOP of a replica for 55 s": stopped,
        "restart of nginx": lambda: restarted("proxy"),
        "rolling upgrade of both replicas": upgraded,
        "restart of Redis": lambda: restarted("redis"),
        "Redis paused for 4 s": redis_paused,
        "Redis full for 10 s": redis_full,
    }


async def main() -> int:
    print("| scenario | load | requests | failed | longest time without a success | sessions lost |")
    print("|---|---|---|---|---|---|", flush=True)
    every = 0
    with tempfile.TemporaryDirectory(prefix="bff-chaos-") as folder:
        compose = Compose.laid_out(Path(folder), "bff-chaos", "demo")
        try:
            async with asyncio.timeout(LIMIT):
                await asyncio.to_thread(compose.up)
                load = Load()
                await load.sign_in()
                for name, scenario in scenarios(compose).items():
                    seen, seconds = await load.during(scenario)
                    lost = await load.lost()
                    every += lost
                    print(seen.row(name, seconds, lost), flush=True)
                await load.http.aclose()
        finally:
            await asyncio.to_thread(compose.down)
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
