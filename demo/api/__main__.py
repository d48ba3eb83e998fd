"""`python -m demo.api`: the sample API that the demo calls through the BFF."""

import argparse
import asyncio
import signal

from demo.api.server import ApiConfig, running_api


def read_arguments(arguments: list[str] | None = None) -> ApiConfig:
    parser = argparse.ArgumentParser(prog="python -m demo.api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9002)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--audience", default="api://default")
    chosen = parser.parse_args(arguments)
    return ApiConfig(issuer=chosen.issuer, audience=chosen.audience, host=chosen.host, port=chosen.port)


async def serve(config: ApiConfig) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with running_api(config) as api:
        print(f"sample API: {api.base_url}/api, tokens of {config.issuer}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(read_arguments()))
