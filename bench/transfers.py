"""100 MB down and up through a contender, and what its memory was at most meanwhile."""

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
    """Bytes a second, and the growth of the resident memory in bytes. `whole`: all of it arrived."""

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
    with _watched(proxy) as seen:
        told = subprocess.run([*pinned, *lines, *more, url], capture_output=True, text=True, check=True).stdout
    numbers = told.split()
    rate, size = (numbers[0], numbers[1]) if "large" in url else (numbers[-1], numbers[0])
    return Transfer(float(rate), max(seen) - seen[0], size.isdigit() and int(size) == LARGE)


def _resolved(url: str) -> str:
    host, _, port = url.split("/")[2].partition(":")
    return f"{host}:{port}:127.0.0.1"


@contextmanager
def _watched(proxy: Child | Children) -> Iterator[list[int]]:
    """The resident memory in bytes, looked at again and again; the first one is from before."""
    seen, over = [proxy.resident()], threading.Event()

    def look() -> None:
        while not over.wait(POLL_INTERVAL):
            seen.append(proxy.resident())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
