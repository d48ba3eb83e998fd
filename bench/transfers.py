"""Transfers 100 MB down and up through a contender and measures the growth of its memory."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import SPA
from bench.processes import LOAD_CORE, Child, Children
from bench.world import LARGE

POLL_INTERVAL = 0.02  # seconds


@dataclass(frozen=True)
class Transfer:
    """`rate` in bytes per second, `growth` of the resident memory in bytes, and whether all bytes arrived."""

    rate: float
    growth: int
    whole: bool


def down(url: str, cookie: str | None, proxy: Child | Children) -> Transfer:
    return _transfer(f"{url}/api/large", cookie, proxy, ["-o", "/dev/null", "-w", "%{speed_download} %{size_download}"])


def up(url: str, cookie: str | None, proxy: Child | Children, large: Path) -> Transfer:
    sent = ["-X", "POST", "-H", "Expect:", "-T", str(large), "-w", " %{speed_upload}"]
    return _transfer(f"{url}/api/sink", cookie, proxy, sent)


def _transfer(url: str, cookie: str | None, proxy: Child | Children, more: list[str]) -> Transfer:
    headers = {**SPA, **({"Cookie": cookie} if cookie else {})}
    lines = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    pinned = ["taskset", "-c", str(LOAD_CORE), "curl", "-s", "--noproxy", "*", "--resolve", _resolved(url)]
    with _memory_samples(proxy) as samples:
        output = subprocess.run([*pinned, *lines, *more, url], capture_output=True, text=True, check=True).stdout
    numbers = output.split()
    rate, size = (numbers[0], numbers[1]) if "large" in url else (numbers[-1], numbers[0])
    return Transfer(float(rate), max(samples) - samples[0], size.isdigit() and int(size) == LARGE)


def _resolved(url: str) -> str:
    host, _, port = url.split("/")[2].partition(":")
    return f"{host}:{port}:127.0.0.1"


@contextmanager
def _memory_samples(proxy: Child | Children) -> Iterator[list[int]]:
    """Yields a list of samples of the resident memory in bytes. The first is from before the transfer."""
    samples, stop = [proxy.resident()], threading.Event()

    def sample() -> None:
        while not stop.wait(POLL_INTERVAL):
            samples.append(proxy.resident())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
