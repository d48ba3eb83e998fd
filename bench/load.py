"""The load: wrk on the load core, with a session's cookie and the headers a SPA sends."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.processes import LOAD_CORE, PROXY_CORE, CoreClock

SPA = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Accept": "*/*"}


@dataclass(frozen=True)
class Round:
    """One measurement. Latencies are in milliseconds, cores are shares of one core."""

    rate: float
    p50: float
    p99: float
    errors: int
    proxy_core: float
    load_core: float

    @property
    def void(self) -> bool:
        """Above this the load, not the proxy, was the bottleneck."""
        return self.load_core > 0.9


def run(url: str, cookie: str | None, *, connections: int = 64, seconds: int = 5, script: Path | None = None) -> Round:
    """`script` tells wrk what to send. Raises RuntimeError when wrk says something else than a result."""
    # The address by number, the name in Host: peers bind a session to the host it was begun at.
    address = url.replace("//localhost:", "//127.0.0.1:")
    headers = {"Host": url.split("/")[2], **SPA, **({"Cookie": cookie} if cookie else {})}
    arguments = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in headers.items():
        arguments += ["-H", f"{name}: {value}"]
    if script is not None:
        arguments += ["-s", str(script)]
    proxy, load = CoreClock(PROXY_CORE), CoreClock(LOAD_CORE)
    proxy.begin()
    load.begin()
    told = subprocess.run([*arguments, address], capture_output=True, text=True, check=True).stdout
    shares = proxy.share(), load.share()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if rate is None:
        raise RuntimeError(told)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    errors = int(wrong[1]) if wrong else 0
    errors += sum(int(each) for each in broken.groups()) if broken else 0
    return Round(float(rate[1]), _milliseconds(told, "50%"), _milliseconds(told, "99%"), errors, *shares)


def _milliseconds(told: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", told)
    if found is None:
        raise RuntimeError(told)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]
