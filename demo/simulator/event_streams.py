"""Okta's API for Shared Signals streams: the transmitter's metadata, one stream per client, and its verification."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.simulator import management_errors as errors
from demo.simulator.management_errors import ApiRefused
from demo.simulator.management_request import body_of, client_of, guarded
from demo.simulator.org import Org
from demo.simulator.security_events import PUSH, SUPPORTED, EventStream, SecurityEvents

PATH = "/api/v1/ssf/stream"
MOST_STREAMS = 10  # of an org
LEGACY_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"


def event_stream_routes(org: Org, transmitter: SecurityEvents) -> list[Route]:
    async def metadata(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": org.base_url,
                "jwks_uri": f"{org.base_url}/oauth2/v1/keys",
                "delivery_methods_supported": [PUSH, LEGACY_PUSH],
                "configuration_endpoint": f"{org.base_url}{PATH}",
                "status_endpoint": f"{org.base_url}{PATH}/status",
                "verification_endpoint": f"{org.base_url}{PATH}/verification",
                "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
                "default_subjects": "ALL",
                "spec_version": "1_0-ID2",
            }
        )

    def own(request: Request) -> EventStream:
        """The stream of the token's client. Raises ApiRefused."""
        stream, named = transmitter.streams.get(client_of(org, request)), request.query_params.get("stream_id")
        if stream is None or named not in (None, stream.stream_id):
            raise errors.not_found("stream")
        return stream

    async def stream(_: Org, request: Request) -> Response:
        client_id = client_of(org, request)
        match request.method:
            case "GET":
                existing = transmitter.streams.get(client_id)
                if "stream_id" in request.query_params:
                    return JSONResponse(_view(org, own(request)))
                return JSONResponse([] if existing is None else [_view(org, existing)])
            case "POST":
                if client_id in transmitter.streams:
                    raise ApiRefused(409, "E0000157", "The client has a stream already.")
                if len(transmitter.streams) >= MOST_STREAMS:
                    raise ApiRefused(403, "E0000158", "The org has ten streams already.")
                url, authorization, requested = _delivery(await body_of(request))
                return JSONResponse(_view(org, transmitter.add_stream(url, authorization, client_id, requested)), 201)
            case "PUT" | "PATCH":
                existing = own(request)
                url, authorization, requested = _delivery({**_view(org, existing), **await body_of(request)})
                existing.endpoint_url, existing.audience, existing.requested = url, url, requested
                existing.authorization_header = authorization
                return JSONResponse(_view(org, existing))
            case _:
                del transmitter.streams[own(request).client_id]
                return Response(status_code=204)

    async def status(_: Org, request: Request) -> Response:
        existing = own(request)
        return JSONResponse({"stream_id": existing.stream_id, "status": existing.status})

    async def verification(_: Org, request: Request) -> Response:
        body = await body_of(request)
        existing = transmitter.streams.get(client_of(org, request))
        if existing is None or body.get("stream_id") != existing.stream_id:
            raise errors.not_found("stream")
        transmitter.verify(existing, body.get("state"))
        return Response(status_code=204)

    return [
        Route("/.well-known/ssf-configuration", metadata),
        Route(PATH, guarded(org, stream, "ssf"), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Route(f"{PATH}/status", guarded(org, status, "ssf"), methods=["GET"]),
        Route(f"{PATH}/verification", guarded(org, verification, "ssf"), methods=["POST"]),
    ]


def _view(org: Org, stream: EventStream) -> dict[str, Any]:
    """As Okta answers: the authorization header is not returned."""
    return {
        "stream_id": stream.stream_id,
        "iss": org.base_url,
        "aud": stream.audience,
        "events_supported": list(SUPPORTED),
        "events_requested": list(stream.requested),
        "events_delivered": [event for event in stream.requested if event in SUPPORTED],
        "delivery": {"method": PUSH, "endpoint_url": stream.endpoint_url},
        "format": "iss_sub",
        "min_verification_interval": 0,
    }


def _delivery(body: dict[str, Any]) -> tuple[str, str | None, tuple[str, ...]]:
    """URL, header and requested events. Raises ApiRefused."""
    delivery, requested = body.get("delivery"), body.get("events_requested")
    if not isinstance(delivery, dict) or delivery.get("method") not in (PUSH, LEGACY_PUSH):
        raise errors.invalid("delivery", "delivery.method: only push delivery is supported")
    url, authorization = delivery.get("endpoint_url"), delivery.get("authorization_header")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise errors.invalid("delivery", "delivery.endpoint_url: must be a URL")
    if not isinstance(requested, list) or not set(requested) <= set(SUPPORTED) or not requested:
        raise errors.invalid("events_requested", "events_requested: names an event that is not supported")
    return url, authorization if isinstance(authorization, str) else None, tuple(requested)
