"""The control API: the simulated org's remote control, as JSON on a port of its own, so it stays up while Okta is away.

GET /state · GET /events?after=N · POST|DELETE /faults · POST /faults/release · POST /down · POST /up · POST /settings ·
POST /keys/rotate · POST /users/{sub}/unassign|assign|revoke · GET /users/{sub}/sids ·
POST /users/{sub}/end-okta-sessions · POST /orders/logout-token|global-token-revocation|security-event ·
POST /event-stream · POST /event-stream/status
"""

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.simulator.control import Control, UnknownSetting


def build_control_api(control: Control, origins: tuple[str, ...] = ()) -> Starlette:
    """`origins` may call it from a browser."""

    async def state(_: Request) -> Response:
        return _json(control.state())

    async def events(request: Request) -> Response:
        after = int(request.query_params.get("after", "0"))
        entries = control.events(after)
        last = entries[-1].n if entries else after
        return _json({"events": [event.as_json() for event in entries], "last": last})

    async def add_fault(request: Request) -> Response:
        return _json(control.fault(**await _body(request)).as_json(), 201)

    async def clear_faults(_: Request) -> Response:
        control.clear_faults()
        return Response(status_code=204)

    async def release(request: Request) -> Response:
        control.release(**await _body(request))
        return _json({})

    async def down(request: Request) -> Response:
        await control.down(**await _body(request))
        return _json(control.state())

    async def up(_: Request) -> Response:
        await control.up()
        return _json(control.state())

    async def settings(request: Request) -> Response:
        control.settings(**await _body(request))
        return _json(control.state())

    async def rotate_keys(request: Request) -> Response:
        return _json({"kid": control.rotate_keys(**await _body(request))})

    async def person(request: Request) -> Response:
        sub, action = request.path_params["sub"], request.path_params["action"]
        match action:
            case "unassign":
                control.unassign(sub)
            case "assign":
                control.assign(sub)
            case "revoke":
                control.revoke_user(sub)
            case "end-okta-sessions":
                return _json({"streams": control.security_events.end_sessions(control.person(sub))})
            case _:
                return _json({"error": "not found"}, 404)
        return Response(status_code=204)

    async def sids(request: Request) -> Response:
        return _json({"sids": control.orders.sids_of(control.person(request.path_params["sub"]).sub)})

    async def order(request: Request) -> Response:
        body = await _body(request)
        match request.path_params["kind"]:
            case "logout-token":
                status = await control.orders.send_logout_token(**body)
            case "global-token-revocation":
                status = await control.orders.send_global_token_revocation(**body)
            case "security-event":
                return _json({"status": await control.security_events.order(**body)})
            case _:
                return _json({"error": "not found"}, 404)
        return _json({"status": status})

    async def event_stream(request: Request) -> Response:
        return _json({"stream_id": control.security_events.add_stream(**await _body(request)).stream_id}, 201)

    async def event_stream_status(request: Request) -> Response:
        control.security_events.order_status(**await _body(request))
        return Response(status_code=204)

    routes = [
        Route("/state", _with_errors(state)),
        Route("/events", _with_errors(events)),
        Route("/faults", _with_errors(add_fault), methods=["POST"]),
        Route("/faults", _with_errors(clear_faults), methods=["DELETE"]),
        Route("/faults/release", _with_errors(release), methods=["POST"]),
        Route("/down", _with_errors(down), methods=["POST"]),
        Route("/up", _with_errors(up), methods=["POST"]),
        Route("/settings", _with_errors(settings), methods=["POST"]),
        Route("/keys/rotate", _with_errors(rotate_keys), methods=["POST"]),
        Route("/orders/{kind}", _with_errors(order), methods=["POST"]),
        Route("/event-stream", _with_errors(event_stream), methods=["POST"]),
        Route("/event-stream/status", _with_errors(event_stream_status), methods=["POST"]),
        Route("/users/{sub}/sids", _with_errors(sids)),
        Route("/users/{sub}/{action}", _with_errors(person), methods=["POST"]),
    ]
    cors = Middleware(
        CORSMiddleware, allow_origins=list(origins), allow_methods=["*"], allow_headers=["content-type", "x-csrf"]
    )
    return Starlette(routes=routes, middleware=[cors])


def _with_errors(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (UnknownSetting, TypeError, ValueError) as wrong:
            return _json({"error": str(wrong)}, 400)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    """Raises ValueError."""
    body = await request.body()
    read = json.loads(body) if body.strip() else {}
    if not isinstance(read, dict):
        raise ValueError("the body must be a JSON object")
    return read


def _json(content: dict[str, Any], status: int = 200) -> Response:
    if content.get("down_until") == math.inf:
        content["down_until"] = None  # no end time; JSON has no infinity
    return JSONResponse(content, status, {"Cache-Control": "no-store"})
