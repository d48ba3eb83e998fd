"""Several BFF processes on one store, a simulated Okta as a process, real sockets: a deployment, on loopback."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from tests.harness.http_browser import FETCH, Browser
from tests.harness.places import ROOT
from tests.harness.plain_http import plain_http
from tests.harness.ports import free_port
from tests.harness.stopping import continue_process, stop_process
from tests.harness.waiting import PATIENCE, until
from tests.harness.world import CLIENT_ID, CLIENT_SECRET, Upstream, listening, serving
from tests.proof.live.tripwire import Tripwire

STARTS: Final = 5 * PATIENCE  # seconds; several processes start at once, on a machine that is busy with more
ON_TWO_REPLICAS = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("two_replicas")]


class Process:
    """A child whose output goes to a file. `ready` is a URL that answers 200 once it serves."""

    def __init__(self, name: str, arguments: list[str], environ: dict[str, str], directory: Path, ready: str) -> None:
        self.name, self._arguments, self._environ, self._ready = name, arguments, environ, ready
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {**os.environ, **self._environ, "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments], env=environ, cwd=self.log.parent, stdout=log, stderr=log
            )

    async def answers(self) -> None:
        async with plain_http(timeout=60) as client:

            async def ready() -> bool:
                try:
                    return (await client.get(self._ready)).status_code == 200
                except httpx.TransportError:
                    return False

            try:
                await until(ready, within=STARTS)
            except TimeoutError:
                raise AssertionError(f"{self.name} does not answer:\n{self.log.read_text()[-3000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """SIGSTOP, until `resume`."""
        assert self._process is not None
        stop_process(self._process.pid)

    def resume(self) -> None:
        assert self._process is not None
        continue_process(self._process.pid)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, STARTS)

    def kill(self) -> None:
        if self._process is not None:
            continue_process(self._process.pid)
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass
class Replica:
    process: Process
    url: str
    management: str

    async def restart_in_order(self) -> None:
        """SIGTERM, then started again once it has ended."""
        self.process.signal(signal.SIGTERM)
        assert await self.process.ended() == 0, self.process.log.read_text()[-3000:]
        await self.restart()

    async def restart(self) -> None:
        self.process.kill()
        self.process.start()
        await self.process.answers()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a counter's samples that carry these labels."""
        async with plain_http() as client:
            text = (await client.get(f"{self.management}/metrics")).text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))


@dataclass
class Okta:
    control_url: str
    _http: httpx.AsyncClient = field(default_factory=lambda: plain_http(timeout=60))

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._http.get(f"{self.control_url}/state")).json()
        return found

    async def post(self, path: str, **body: Any) -> None:
        answer = await self._http.post(f"{self.control_url}{path}", json=body)
        assert answer.status_code < 300, answer.text

    async def order(self, kind: str, **body: Any) -> int:
        """Has it send a `logout-token` or a `global-token-revocation`; the status that the BFF answered."""
        answer = await self._http.post(f"{self.control_url}/orders/{kind}", json=body)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["status"])

    async def sids_of(self, login: str) -> list[str]:
        return list((await self._http.get(f"{self.control_url}/users/{login}/sids")).json()["sids"])

    async def clear_faults(self) -> None:
        await self._http.delete(f"{self.control_url}/faults")

    async def close(self) -> None:
        await self._http.aclose()


@dataclass
class Fleet:
    replicas: list[Replica]
    okta: Okta
    upstream: Upstream
    to_okta: Tripwire
    callers: httpx.AsyncClient
    environ: dict[str, str]
    public_url: str

    async def expired_sessions(self, count: int = 1, login: str = "alice@example.com") -> list[str]:
        """As `signed_in`, with access tokens that have expired; the next ones live for an hour."""
        lifetime, cookies = 1, list[str]()
        while len(cookies) < count:
            await self.okta.post("/settings", access_token_lifetime=lifetime)
            tries = (self._sign_in(login) for _ in range(count - len(cookies)))
            cookies += [
                result for result in await asyncio.gather(*tries, return_exceptions=True) if isinstance(result, str)
            ]
            expired_at = time.time() + lifetime
            assert lifetime <= 64, "nobody can sign in"
            lifetime *= 2
        await self.okta.post("/settings", access_token_lifetime=3600)
        await until(lambda: time.time() > expired_at)
        return cookies

    async def served(self, cookie: str, replica: int | None = None) -> None:
        """Waits for 200, from one replica or through the public URL; until then 503 is right, and no other status."""
        url = self.public_url if replica is None else self.replicas[replica].url

        async def is_served() -> bool:
            answer = await self._call(cookie, f"{url}/api/x", "GET")
            assert answer.status_code in (200, 503), answer.text
            return answer.status_code == 200

        await until(is_served)

    async def families(self) -> set[str]:
        """The ids of the families of tokens at Okta."""
        return {family["id"] for family in (await self.okta.state())["families"]}

    async def nothing_lives_at_okta(self, besides: Collection[str] = ()) -> None:
        """Waits until every family of tokens has been revoked, but those of `besides`."""

        async def all_revoked() -> bool:
            families = (await self.okta.state())["families"]
            return all(family["revoked"] is not None for family in families if family["id"] not in besides)

        await until(all_revoked)

    async def signed_in(self, count: int = 1, login: str = "alice@example.com") -> list[str]:
        """Somebody signed in that many times; the `Cookie` header of each session."""
        return list(await asyncio.gather(*(self._sign_in(login) for _ in range(count))))

    async def _sign_in(self, login: str) -> str:
        browser = Browser(self.public_url)
        try:
            await browser.sign_in(login)
            cookie = browser.cookie("bff-session")
            assert cookie is not None, browser.seen[-1].text
            return f"bff-session={cookie}"
        finally:
            await browser.close()

    async def call(self, cookie: str, replica: int = 0, path: str = "/api/x", method: str = "GET") -> httpx.Response:
        return await self._call(cookie, self.replicas[replica].url + path, method)

    async def call_public(self, cookie: str, path: str = "/api/x", method: str = "GET") -> httpx.Response:
        """Through the public URL: the first replica's, or the proxy's in front of all."""
        return await self._call(cookie, self.public_url + path, method)

    async def _call(self, cookie: str, url: str, method: str) -> httpx.Response:
        return await self.callers.request(method, url, headers={**FETCH, "x-csrf": "1", "cookie": cookie})

    async def sign_out(self, cookie: str, replica: int = 0) -> httpx.Response:
        return await self.call(cookie, replica, "/auth/logout", "POST")

    async def metric(self, name: str, **labels: str) -> float:
        return sum([await replica.metric(name, **labels) for replica in self.replicas])

    def logs(self) -> str:
        return "\n".join(replica.process.log.read_text() for replica in self.replicas)


@asynccontextmanager
async def running_fleet(
    directory: Path,
    store: str,
    *,
    replicas: int = 3,
    lifetime: int = 2,
    okta_options: tuple[str, ...] = (),
    stores: dict[int, str] | None = None,
    own: dict[int, dict[str, str]] | None = None,
    ports: Sequence[int] = (),
    front: int | None = None,
    patient: bool = True,
    **settings: str,
) -> AsyncIterator[Fleet]:
    """`lifetime` of access tokens in seconds; `stores` gives single replicas another URL of the same store, `own` other
    variables of their own. `ports` are where the replicas listen, `front` is the port of a proxy that people know."""
    okta_port, control_port = free_port(), free_port()
    to_okta = Tripwire(okta_port)
    await to_okta.start()
    base = f"http://127.0.0.1:{to_okta.port}"
    addresses = [(port, free_port()) for port in ports or [free_port() for _ in range(replicas)]]
    public_url = f"http://localhost:{front or addresses[0][0]}"
    processes: list[Process] = []
    okta = Okta(f"http://127.0.0.1:{control_port}")
    try:
        simulator = Process(
            "okta",
            [
                *("demo.simulator", "--port", str(okta_port), "--control-port", str(control_port)),
                *("--public-url", base, "--client-id", CLIENT_ID, "--access-token-lifetime", str(lifetime)),
                *("--redirect-uri", f"{public_url}/authorization-code/callback"),
                *("--post-logout-redirect-uri", f"{public_url}/", *okta_options),
            ],
            {"SIMULATOR_CLIENT_SECRET": CLIENT_SECRET},
            directory,
            f"{okta.control_url}/state",
        )
        processes.append(simulator)
        simulator.start()
        await simulator.answers()
        with listening() as api:
            upstream = Upstream()
            api_url = f"http://127.0.0.1:{api.getsockname()[1]}"
            environ = {
                "BFF_ISSUER": f"{base}/oauth2/default",
                "BFF_CLIENT_ID": CLIENT_ID,
                "BFF_CLIENT_SECRET": CLIENT_SECRET,
                "BFF_PUBLIC_URL": public_url,
                "BFF_SESSION_KEYS": encode_base64url(new_key()),
                "BFF_STORE": store,
                "BFF_ROUTES": f'[{{"prefix": "/api", "upstream": "{api_url}"}}]',
                **{f"BFF_{name.upper()}": value for name, value in settings.items()},
            }
            program = "tests.proof.live.patient_bff" if patient else "bff"
            started: list[Replica] = []
            for number, (port, management) in enumerate(addresses):
                variables = {
                    "BFF_LISTEN": f"127.0.0.1:{port}",
                    "BFF_MANAGEMENT_LISTEN": f"127.0.0.1:{management}",
                    "BFF_STORE": (stores or {}).get(number, store),
                    **(own or {}).get(number, {}),
                }
                ready = f"http://127.0.0.1:{management}/readyz"
                process = Process(f"bff-{number}", [program, "serve"], {**environ, **variables}, directory, ready)
                processes.append(process)
                process.start()
                started.append(Replica(process, f"http://localhost:{port}", f"http://127.0.0.1:{management}"))
            # No expiry: httpcore may close a connection as expired that it has just given to another request.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=None)
            async with serving(upstream, api), plain_http(timeout=60, limits=limits) as callers:
                await asyncio.gather(*(replica.process.answers() for replica in started))
                yield Fleet(started, okta, upstream, to_okta, callers, environ, public_url)
    finally:
        for process in processes:
            process.kill()
        await okta.close()
        await to_okta.close()
