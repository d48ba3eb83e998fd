"""How soon a security event ends a session everywhere: `make bench-security-events`.

Two replicas on one Redis, and a transmitter in this process. Every session has an open event stream on both replicas;
each event names one session. Measured from the delivery (or, for polls, from when the event waits at the transmitter)
until the next request gets 401 on both replicas, and until both streams are closed. It takes some minutes.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from bff.base64url import decode_base64url
from bff.session.keyring import KeyRing, new_session_id
from bff.session.session import Session, Tokens, User
from bff.storage.open import open_store
from bff.web.session_cookies import seal_session_cookie
from tests.harness.http_browser import FETCH
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.security_events import REVOKED, of_session
from tests.harness.transmitter_server import TransmitterServer
from tests.harness.world import CLIENT_ID, listening, serving
from tests.proof.live.fleet import Fleet, running_fleet

WAVE: Final = 50  # sessions whose streams are open together
PAUSE: Final = 0.1  # seconds between two events
LONGEST: Final = 60.0  # seconds until an end is given up
DELIVERY: Final = "Bearer bench-delivery-0123456789"


@dataclass
class Times:
    """Seconds, one for each event."""

    refused: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)

    def line(self, what: str, times: list[float]) -> str:
        ordered = sorted(times)
        p99 = ordered[max(0, int(len(ordered) * 0.99) - 1)]
        return (
            f"{what}: {len(ordered)} events, median {statistics.median(ordered) * 1000:.0f} ms, "
            f"p99 {p99 * 1000:.0f} ms, longest {ordered[-1] * 1000:.0f} ms"
        )


async def measure(delivery: str, events: int, directory: Path) -> Times:
    times = Times()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(one_server(directory / "redis"))
        own = stack.enter_context(listening())
        transmitter = TransmitterServer(f"http://127.0.0.1:{own.getsockname()[1]}", "bench")
        await stack.enter_async_context(serving(transmitter, own))
        header = {"security_events_authorization": DELIVERY} if delivery == "push" else {}
        token = {"security_events_token": "bench-token-0123456789"} if delivery == "poll" else {}
        fleet = await stack.enter_async_context(
            running_fleet(
                directory,
                redis.url,
                replicas=2,
                patient=False,
                security_events=delivery,
                security_events_transmitter=transmitter.url,
                security_events_audience="bench",
                **header,
                **token,
            )
        )
        client = await stack.enter_async_context(plain_http(timeout=LONGEST, limits=httpx.Limits(max_connections=None)))
        for first in range(0, events, WAVE):
            await _wave(fleet, transmitter, client, range(first, min(first + WAVE, events)), times)
    return times


async def _wave(
    fleet: Fleet, transmitter: TransmitterServer, client: httpx.AsyncClient, numbers: range, times: Times
) -> None:
    cookies = await _sessions(fleet, numbers)
    ended: dict[int, asyncio.Task[list[float]]] = {}
    async with asyncio.TaskGroup() as group:
        opened = [asyncio.Event() for _ in range(2 * len(numbers))]
        for position, number in enumerate(numbers):
            pair = opened[2 * position : 2 * position + 2]
            ended[number] = group.create_task(_streams(fleet, client, cookies[number], pair))
        for event in opened:
            await event.wait()
        for number in numbers:
            group.create_task(_end(fleet, transmitter, client, cookies[number], number, times, ended[number]))
            await asyncio.sleep(PAUSE)


async def _end(
    fleet: Fleet,
    transmitter: TransmitterServer,
    client: httpx.AsyncClient,
    cookie: str,
    number: int,
    times: Times,
    closed: "asyncio.Task[list[float]]",
) -> None:
    subject = of_session(f"sid-{number}", f"person-{number}", fleet.environ["BFF_ISSUER"])
    jti, token = transmitter.token(time.time(), {REVOKED: {}}, sub_id=subject)
    begun = time.perf_counter()
    if fleet.environ["BFF_SECURITY_EVENTS"] == "push":
        headers = {"content-type": "application/secevent+jwt", "authorization": DELIVERY}
        answer = await client.post(f"{fleet.replicas[0].url}/auth/security-events", content=token, headers=headers)
        assert answer.status_code == 202, answer.text
    else:
        transmitter.waiting[jti] = token
    await asyncio.gather(*(_refused(client, replica.url, cookie) for replica in fleet.replicas))
    times.refused.append(time.perf_counter() - begun)
    times.closed.append(max(await closed) - begun)


async def _refused(client: httpx.AsyncClient, url: str, cookie: str) -> None:
    """Returns when a call gets 401."""
    headers = {**FETCH, "x-csrf": "1", "cookie": cookie}
    async with asyncio.timeout(LONGEST):
        while (await client.get(f"{url}/api/x", headers=headers)).status_code != 401:
            await asyncio.sleep(0.05)


async def _streams(fleet: Fleet, client: httpx.AsyncClient, cookie: str, opened: list[asyncio.Event]) -> list[float]:
    """When the stream on each replica was closed."""
    reading = (
        _stream(client, replica.url, cookie, event.set) for replica, event in zip(fleet.replicas, opened, strict=True)
    )
    return list(await asyncio.gather(*reading))


async def _stream(client: httpx.AsyncClient, url: str, cookie: str, opened: Callable[[], None]) -> float:
    headers = {**FETCH, "x-csrf": "1", "cookie": cookie}
    try:
        async with client.stream("GET", f"{url}/api/events", headers=headers) as response:
            assert response.status_code == 200, response.status_code
            async for _ in response.aiter_raw():
                opened()
    except httpx.TransportError:
        pass
    return time.perf_counter()


async def _sessions(fleet: Fleet, numbers: range) -> dict[int, str]:
    """Stores a session for each number; the `Cookie` header of each."""
    key = decode_base64url(fleet.environ["BFF_SESSION_KEYS"])
    assert key is not None
    ring, cookies = KeyRing.from_keys([key]), {}
    store = open_store(fleet.environ["BFF_STORE"], ring)
    try:
        now = await store.now()
        for number in numbers:
            session_id = new_session_id()
            tokens = Tokens("x" * 900, now + 7200, now + 7000, now)
            await store.create(
                Session(
                    key=session_id.key,
                    version=1,
                    rotation=0,
                    issuer=fleet.environ["BFF_ISSUER"],
                    client_id=CLIENT_ID,
                    user=User(f"person-{number}"),
                    tokens=tokens,
                    signed_in_at=now - 1,
                    ends_at=now + 43_200,
                    sid=f"sid-{number}",
                )
            )
            cookies[number] = f"bff-session={seal_session_cookie(session_id, ring)}"
    finally:
        await store.close()
    return cookies


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.security_events", description=__doc__)
    parser.add_argument("--events", type=int, default=1000, help="for each way of delivery, at most 10000")
    parser.add_argument("--delivery", choices=["push", "poll"], action="append")
    chosen = parser.parse_args()
    for delivery in chosen.delivery or ("push", "poll"):
        with tempfile.TemporaryDirectory(prefix="bff-bench-") as directory:
            times = asyncio.run(measure(delivery, min(chosen.events, 10_000), Path(directory)))
        print(times.line(f"{delivery}, until 401 on both replicas", times.refused))
        print(times.line(f"{delivery}, until both streams are closed", times.closed), flush=True)


if __name__ == "__main__":
    main()
