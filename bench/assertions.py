"""What identity assertions cost: `python -m bench.assertions` prints the processor time of a request on three routes.

One route sends the access token, one an assertion in its place, and one both. They are measured in turn, on one core.
The processor time holds on a busy machine, the rate does not.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import load
from bench.contenders import OURS, ours
from bench.processes import until
from bench.world import World
from bff.oidc.private_keys import new_private_jwk

IDENTITY = {"audience": "orders-api", "claims": ["sub", "email"], "lifetime": 60}
ROUTES = {"access token": {}, "assertion": {"token": {"identity": IDENTITY}}, "both": {"assertion": IDENTITY}}


def measure(world: World, route: str, alg: str, seconds: int) -> tuple[float, int]:
    """Seconds of processor time per request, and errors."""
    routes = [{"prefix": "/api", "upstream": f"http://127.0.0.1:{world.upstream}", **ROUTES[route]}]
    # `ours` formats what it is given.
    texts = {"BFF_ROUTES": json.dumps(routes), "BFF_ASSERTION_KEYS": json.dumps(new_private_jwk(alg))}
    child = ours("sqlite", **{name: text.replace("{", "{{").replace("}", "}}") for name, text in texts.items()})(world)
    try:
        until(lambda: "ready: open" in child.log.read_text(), "the BFF", timeout=60)
        cookie, url = OURS(world), f"{world.url}/api/kib"
        load.run(url, cookie, seconds=2)
        before = child.processor_time()
        done = load.run(url, cookie, seconds=seconds)
        return (child.processor_time() - before) / (done.rate * seconds), done.errors
    finally:
        child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--alg", default="ES256")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        world = World(Path(name), stack)
        world.start()
        rounds = {route: list[tuple[float, int]]() for route in ROUTES}
        for _ in range(options.rounds):
            for route, measured in rounds.items():
                measured.append(measure(world, route, options.alg, options.seconds))
        for route, measured in rounds.items():
            costs = [cost * 1e6 for cost, _ in measured]
            print(
                f"{route}: {median(costs):.1f} µs of CPU per request ({min(costs):.1f}-{max(costs):.1f}),"
                f" {sum(errors for _, errors in measured)} errors",
                flush=True,
            )


if __name__ == "__main__":
    main()
