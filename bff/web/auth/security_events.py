"""`POST /auth/security-events`: push delivery of Security Event Tokens (RFC 8935).

It needs neither a cookie nor a CSRF header: the signature authorizes each token, and the agreed `Authorization` header,
if there is one, the transmitter. Every delivery may be repeated.
"""

import json
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from fastapi import APIRouter, Request, Response

from bff.errors import DeliveryRefused, InvalidRequest, RequestTooLarge
from bff.flows.security_events.receiver import SecurityEventReceiver
from bff.oidc.jws import MAX_COMPACT_LENGTH
from bff.oidc.security_event_token import DeliveryError, SecurityEventRefused
from bff.telemetry import metrics
from bff.web.error_responder import ErrorResponder
from bff.web.error_status import status_of
from bff.web.request_body import media_type, read_body
from bff.web.responses import PRIVATE, raw_response
from bff.web.route_description import described

MEDIA_TYPE: Final = "application/secevent+jwt"


@dataclass(frozen=True, slots=True)
class SecurityEventsEndpoint:
    """`authorization` is the exact value of the header that deliveries carry; None accepts any."""

    receiver: SecurityEventReceiver
    audiences: tuple[str, ...]
    authorization: str | None
    errors: ErrorResponder

    async def deliver(self, request: Request) -> Response:
        """202 as soon as every effect is durable; 400 or 401 with `err` for a token that will never be accepted.

        503 while the store or the keys are unavailable: the transmitter delivers again.
        """
        try:
            self._check_authorization(request)
            if media_type(request) != MEDIA_TYPE:
                raise SecurityEventRefused(f"the content type is not {MEDIA_TYPE}")
            await self.receiver.receive(await _token(request), self.audiences)
        except SecurityEventRefused as refused:
            return self._refuse(refused, refused.err)
        except DeliveryRefused as refused:
            return self._refuse(refused, "authentication_failed")
        return raw_response(202, [(b"content-length", b"0"), *PRIVATE])

    def _check_authorization(self, request: Request) -> None:
        if self.authorization is None:
            return
        sent = [value for name, value in request.scope["headers"] if name.lower() == b"authorization"]
        if len(sent) != 1 or not compare_digest(sent[0], self.authorization.encode("ascii")):
            raise DeliveryRefused("the Authorization header is not the one of BFF_SECURITY_EVENTS_AUTHORIZATION")

    def _refuse(self, error: SecurityEventRefused | DeliveryRefused, err: DeliveryError) -> Response:
        """The form of RFC 8935 section 2.3, which transmitters log."""
        self.errors.record(error)
        metrics.SECURITY_EVENTS_REFUSED.labels(error=err).inc()
        body = json.dumps({"err": err, "description": error.detail or error.title}).encode("ascii")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-language", b"en"),
            (b"content-length", str(len(body)).encode("ascii")),
            *PRIVATE,
        ]
        status = status_of(error)
        challenge = [(b"www-authenticate", b'Bearer realm="security-events"')] if status == 401 else []
        return raw_response(status, [*headers, *challenge], body)


async def _token(request: Request) -> str:
    try:
        return (await read_body(request, MAX_COMPACT_LENGTH)).decode("ascii")
    except UnicodeDecodeError:
        raise SecurityEventRefused("the body is not a compact JWS") from None
    except (RequestTooLarge, InvalidRequest) as error:
        raise SecurityEventRefused(error.detail or error.title) from None


def security_events_router(endpoint: SecurityEventsEndpoint) -> APIRouter:
    router = APIRouter()

    body = {"application/secevent+jwt": {"schema": {"type": "string"}}}
    description = described("Push delivery of security events (RFC 8935)", status=202, body=body)

    @router.post("/auth/security-events", **description)
    async def deliver(request: Request) -> Response:
        return await endpoint.deliver(request)

    return router
