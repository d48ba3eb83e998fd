"""The load generator: wrk on the load core, with a session cookie and the headers that a SPA sends."""

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
    requests: int
    p50: float
    p99: float
    errors: int
    proxy_core: float
    load_core: float

    @property
    def void(self) -> bool:
        """Whether the load generator instead of the proxy was the bottleneck."""
        return self.load_core > 0.9


def run(url: str, cookie: str | None, *, connections: int = 64, seconds: int = 5, script: Path | None = None) -> Round:
    """Runs wrk for `seconds`. `script` is a Lua script that builds the requests.

    Raises RuntimeError if the output of wrk has no result.
    """
    # wrk connects to the address and sends the name in Host, because some contenders bind a session to its host.
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
    output = subprocess.run([*arguments, address], capture_output=True, text=True, check=True).stdout
    shares = proxy.share(), load.share()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    requests = re.search(r"(\d+) requests in ", output)
    if rate is None or requests is None:
        raise RuntimeError(output)
    failed_responses = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    errors = int(failed_responses[1]) if failed_responses else 0
    errors += sum(int(count) for count in socket_errors.groups()) if socket_errors else 0
    latencies = _milliseconds(output, "50%"), _milliseconds(output, "99%")
    return Round(float(rate[1]), int(requests[1]), *latencies, errors, *shares)


def _milliseconds(output: str, percentile: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", output)
    if match is None:
        raise RuntimeError(output)
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]
