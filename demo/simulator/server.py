"""A running simulated Okta: the endpoints, fault injection, and the control API."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from demo.simulator import authorization, metadata, okta_errors, pages, token_inspection
from demo.simulator.config import SimulatorConfig
from demo.simulator.control import Control
from demo.simulator.control_api import build_control_api
from demo.simulator.event_streams import event_stream_routes
from demo.simulator.fault_delivery import FaultDelivery
from demo.simulator.listener import Listener
from demo.simulator.logout import logout
from demo.simulator.management import management_routes
from demo.simulator.org import AuthorizationServer, Org
from demo.simulator.security_events import SecurityEvents
from demo.simulator.token_endpoint import token

__all__ = ["RunningSimulator", "SimulatorConfig", "build_okta", "running_simulator"]

SERVERS = ("/oauth2/v1", "/oauth2/{server_id}/v1")


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """`issuer` is the custom server `default`; `org_issuer` is the org server and equals `base_url`."""

    base_url: str
    control: Control
    control_url: str | None

    @property
    def issuer(self) -> str:
        return self.issuer_of("default")

    def issuer_of(self, server_id: str) -> str:
        """The issuer of a custom server."""
        return f"{self.base_url}/oauth2/{server_id}"

    @property
    def org_issuer(self) -> str:
        return self.base_url


def build_okta(org: Org, transmitter: SecurityEvents) -> Starlette:
    routes = [Route("/", _index), Route("/signin", _bound(org, authorization.sign_in), methods=["POST"])]
    for endpoints in SERVERS:
        routes += _server_routes(org, endpoints)
    routes += [*event_stream_routes(org, transmitter), *management_routes(org), Route("/favicon.ico", _favicon)]
    return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _wrong_method})


def _server_routes(org: Org, endpoints: str) -> list[Route]:
    def of_server(
        endpoint: Callable[[Org, AuthorizationServer, Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                server = org.server(endpoints.format(**request.path_params))
            except KeyError:
                return okta_errors.not_found()
            return await endpoint(org, server, request)

        return answer

    async def keys(_: Request) -> Response:
        return metadata.keys(org)

    issuer_path = "" if endpoints == "/oauth2/v1" else endpoints.removesuffix("/v1")
    both, post = ["GET", "POST"], ["POST"]
    return [
        Route(f"{issuer_path}/.well-known/openid-configuration", of_server(metadata.discovery)),
        Route(f"{issuer_path}/.well-known/oauth-authorization-server", of_server(metadata.discovery)),
        Route(f"{endpoints}/authorize", of_server(authorization.authorize), methods=both),
        Route(f"{endpoints}/par", of_server(authorization.push), methods=post),
        Route(f"{endpoints}/token", of_server(token), methods=post),
        Route(f"{endpoints}/keys", keys),
        Route(f"{endpoints}/userinfo", _bound(org, token_inspection.userinfo), methods=both),
        Route(f"{endpoints}/revoke", _bound(org, token_inspection.revoke), methods=post),
        Route(f"{endpoints}/introspect", _bound(org, token_inspection.introspect), methods=post),
        Route(f"{endpoints}/logout", of_server(logout), methods=both),
    ]


def _bound(
    org: Org, endpoint: Callable[[Org, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        response = await endpoint(org, request)
        response.headers["X-Okta-Request-Id"] = secrets.token_urlsafe(12)
        return response

    return answer


async def _index(_: Request) -> Response:
    return RedirectResponse("/.well-known/openid-configuration", 302)


async def _favicon(_: Request) -> Response:
    return pages.favicon()


async def _not_found(_: Request, __: Exception) -> Response:
    return okta_errors.not_found()


async def _wrong_method(_: Request, __: Exception) -> Response:
    summary = "The endpoint does not support the provided HTTP method"
    return okta_errors.management_error(405, "E0000022", summary)


@asynccontextmanager
async def running_simulator(config: SimulatorConfig | None = None) -> AsyncIterator[RunningSimulator]:
    """A simulated Okta on real sockets in the running loop. Raises OSError where a port is taken."""
    config = config or SimulatorConfig()
    org = Org(config)
    transmitter = SecurityEvents(org)
    if config.event_stream is not None:
        transmitter.add_stream(config.event_stream, config.event_stream_authorization)
    listener: Listener
    app = FaultDelivery(build_okta(org, transmitter), org, lambda: listener)
    listener = Listener(app, host=config.host, port=config.port)
    control = Control(org, listener, transmitter)
    control_listener: Listener | None = None
    try:
        await listener.start()
        org.base_url = config.public_url or f"http://{config.host}:{listener.port}"
        control_url = None
        if config.control_port is not None:
            api = build_control_api(control, config.control_origins)
            control_listener = Listener(api, host=config.host, port=config.control_port)
            await control_listener.start()
            control_url = f"http://{config.host}:{control_listener.port}"
        yield RunningSimulator(org.base_url, control, control_url)
    finally:
        await control.close()
        if control_listener is not None:
            await control_listener.close()
        await listener.close()
