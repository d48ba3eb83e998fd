"""`python -m demo.simulator`: a simulated Okta for the demo, with its control API."""

import argparse
import asyncio
import os
import signal

from demo.simulator.config import SimulatorConfig
from demo.simulator.grants import Replay, RotationPolicy
from demo.simulator.server import running_simulator


def read_arguments(arguments: list[str] | None = None) -> SimulatorConfig:
    defaults, policy = SimulatorConfig(), RotationPolicy()
    parser = argparse.ArgumentParser(prog="python -m demo.simulator", description=__doc__)
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--control-port", type=int, default=9001)
    parser.add_argument("--control-origin", action="append", default=[], help="may call the control API from a browser")
    parser.add_argument("--public-url", help="the base URL as the browser sees it")
    parser.add_argument("--client-id", default=defaults.client_id)
    parser.add_argument("--client-secret", action="append", help="may be given twice; or SIMULATOR_CLIENT_SECRET")
    parser.add_argument("--redirect-uri", action="append")
    parser.add_argument("--post-logout-redirect-uri", action="append")
    parser.add_argument("--access-token-lifetime", type=int, default=30, help="seconds")
    parser.add_argument("--rotation", choices=["rotate", "persistent"], default=policy.mode)
    parser.add_argument("--grace", type=int, choices=range(61), default=int(policy.grace), metavar="0-60")
    parser.add_argument("--replay", choices=[replay.value for replay in Replay], default=policy.replay.value)
    parser.add_argument("--empty-org", action="store_true", help="start without an app: `bff okta apply` creates it")
    # The Authorization header of the deliveries is in SIMULATOR_EVENT_STREAM_AUTHORIZATION.
    parser.add_argument("--event-stream", metavar="URL", help="where to deliver security events")
    parser.add_argument("--bff-log", metavar="PLACE", help="where the log of the BFF is; the demo's page says so")
    chosen = parser.parse_args(arguments)
    from_environment = os.environ.get("SIMULATOR_CLIENT_SECRET")
    secrets = chosen.client_secret or ([from_environment] if from_environment else list(defaults.client_secrets))
    return SimulatorConfig(
        host=chosen.host,
        port=chosen.port,
        control_port=chosen.control_port,
        control_origins=tuple(chosen.control_origin),
        public_url=chosen.public_url,
        client_id=chosen.client_id,
        client_secrets=tuple(secrets),
        redirect_uris=tuple(chosen.redirect_uri or defaults.redirect_uris),
        post_logout_redirect_uris=tuple(chosen.post_logout_redirect_uri or defaults.post_logout_redirect_uris),
        bff_log=chosen.bff_log,
        empty_org=chosen.empty_org,
        event_stream=chosen.event_stream,
        event_stream_authorization=os.environ.get("SIMULATOR_EVENT_STREAM_AUTHORIZATION"),
        api_token=os.environ.get("SIMULATOR_API_TOKEN"),  # for the Management API
        rotation=RotationPolicy(
            mode=chosen.rotation,
            grace=chosen.grace,
            replay=Replay(chosen.replay),
            access_token_lifetime=chosen.access_token_lifetime,
        ),
    )


async def serve(config: SimulatorConfig) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with running_simulator(config) as okta:
        print(f"simulated Okta: {okta.issuer} (org server {okta.org_issuer}), control {okta.control_url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(read_arguments()))
