"""What a refresh costs: `python -m bench.refresh` prints the processor time of one, in milliseconds.

One process refreshes due sessions of a real store at a provider over TLS, which answers at once and is a process of its
own. The processor time of this process is measured, with its threads, so the figure holds on a busy machine. Bounded by
the number of refreshes.
"""

import argparse
import asyncio
import cProfile
import gc
import logging
import pstats
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from bench.processes import until
from bench.scale.ending import a_session
from bench.scale.stores import store_url
from bff.app import Application, build_app
from bff.base64url import encode_base64url
from bff.config.settings import Settings, load_settings
from bff.session.keyring import new_key
from bff.session.session import Session
from tests.harness.certificates import Authority
from tests.harness.ports import free_port

ROUNDS: Final = 5


def endpoint(directory: Path) -> tuple[str, Path, int]:
    """A provider to be started: its issuer, the file of the authority that signed its certificate, and its port."""
    authority, port = Authority(directory, "authority"), free_port()
    authority.issue("provider")
    return f"https://127.0.0.1:{port}", authority.file, port


@contextmanager
def provider_at(directory: Path, port: int, answer_time: float = 0.0) -> Iterator[None]:
    """It takes `answer_time` seconds for each response."""
    certificate, key = directory / "provider.cert.pem", directory / "provider.key.pem"
    arguments = [sys.executable, "-m", "bench.token_endpoint", str(port), str(certificate), str(key), str(answer_time)]
    with subprocess.Popen(arguments) as child:
        try:
            until(lambda: accepts(port), "the provider")
            yield
        finally:
            child.terminate()


@contextmanager
def provider(directory: Path) -> Iterator[tuple[str, Path]]:
    """A running provider: its issuer, and the file of the authority that signed its certificate."""
    issuer, ca_file, port = endpoint(directory)
    with provider_at(directory, port):
        yield issuer, ca_file


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settings(issuer: str, ca_file: Path, url: str) -> Settings:
    return load_settings(
        {
            "BFF_ISSUER": issuer,
            "BFF_CLIENT_ID": "bench",
            "BFF_CLIENT_SECRET": "bench-client-secret-0123456789abcdef",
            "BFF_PUBLIC_URL": "https://app.example.com",
            "BFF_SESSION_KEYS": encode_base64url(new_key()),
            "BFF_STORE": url,
            "BFF_PROVIDER_CA_FILE": str(ca_file),
        }
    )


async def refresh_all(app: Application, sessions: list[Session], at_once: int) -> tuple[float, float]:
    """The seconds of processor time, and the seconds, of one refresh."""
    waiting = iter(sessions)

    async def one_after_the_other() -> None:
        for session in waiting:
            fresh = await app.flows.sessions.refresh.session_with_fresh_token(session.key)
            assert fresh.rotation == 1

    cpu, begun = time.process_time(), time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return (time.process_time() - cpu) / len(sessions), (time.perf_counter() - begun) / len(sessions)


async def measure(configured: Settings, count: int, at_once: int, profile: cProfile.Profile | None) -> str:
    app, issuer = build_app(configured), configured.provider.issuer
    async with AsyncExitStack() as running:
        await app.lifespan.start(running)
        await app.providers.main.metadata()
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # as `bff serve` does
        costs = []
        for number in range(ROUNDS + 1):
            due = [a_session(time.time(), f"user{number}-{n}", n, due=True, issuer=issuer) for n in range(count)]
            await asyncio.gather(*(app.stores.sessions.create(session) for session in due))
            with profile if profile is not None and number else nullcontext():
                costs.append(await refresh_all(app, due, at_once))
        cpu = [cost * 1000 for cost, _ in costs[1:]]  # the first round only warms up
        wall = median(seconds for _, seconds in costs[1:])
        return (
            f"{median(cpu):.2f} ms of CPU per refresh ({min(cpu):.2f}-{max(cpu):.2f}),"
            f" {1000 / median(cpu):.0f} a second per core; {1 / wall:.0f} a second were observed"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="refreshes in each of the six rounds")
    parser.add_argument("--at-once", type=int, default=20, help="refreshes that run concurrently")
    parser.add_argument("--store", choices=("sqlite", "redis"), nargs="+", default=["sqlite", "redis"])
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    for store in options.store:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            issuer, ca_file = stack.enter_context(provider(directory))
            url = stack.enter_context(store_url(store, directory))
            profile = cProfile.Profile() if options.profile else None
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                result = runner.run(measure(settings(issuer, ca_file, url), options.count, options.at_once, profile))
            print(f"{store}: {result}", flush=True)
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(45)
                pstats.Stats(profile).sort_stats("cumtime").print_stats(90)


if __name__ == "__main__":
    main()
