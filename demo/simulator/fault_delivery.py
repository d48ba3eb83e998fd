"""Applies the pending fault to each request: instead of processing, or after it.

ASGI middleware around the endpoints, which know nothing of faults. Faults after processing apply to a complete,
captured response: its tokens have been rotated, and the caller may never see them.
"""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import assert_never
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.simulator import okta_errors
from demo.simulator.faults import Afterwards, Fault, Instead
from demo.simulator.listener import Listener
from demo.simulator.org import Org

MAX_BODY = 1_000_000  # bytes
REFUSALS = {
    Instead.TEMPORARILY_UNAVAILABLE: okta_errors.TEMPORARILY_UNAVAILABLE,
    Instead.INVALID_CLIENT: okta_errors.INVALID_CLIENT_SECRET,
    Instead.ACCESS_DENIED: okta_errors.USER_NOT_ASSIGNED,
    Instead.NO_MATCHING_POLICY: okta_errors.NO_MATCHING_POLICY,
    Instead.INVALID_SCOPE: okta_errors.NO_MATCHING_SCOPE,
    Instead.INVALID_TARGET: okta_errors.INVALID_AUDIENCE,
    Instead.UNAUTHORIZED_CLIENT: okta_errors.UNAUTHORIZED_GRANT,
    Instead.SUBJECT_TOKEN_INVALID: okta_errors.INVALID_SUBJECT_TOKEN,
    Instead.SUBJECT_TOKEN_EXPIRED: okta_errors.SUBJECT_TOKEN_EXPIRED,
    Instead.SERVER_NOT_TRUSTED: okta_errors.SERVER_NOT_TRUSTED,
}


class FaultDelivery:
    def __init__(self, app: ASGIApp, org: Org, listener: Callable[[], Listener]) -> None:
        self._app = app
        self._org = org
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _whole_body(receive)
        if body is None:
            return
        endpoint = scope["path"].rsplit("/", 1)[-1]
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if endpoint == "token":
            self._org.token_requests[form.get("grant_type", "")] += 1
        replay = _Replay(body, receive)
        fault = self._org.faults.take(endpoint, form, self._org.now())
        if fault is None:
            await self._app(scope, replay, send)
            return
        self._org.record("fault", f"{fault.kind.value} at {endpoint}", fault=fault.kind.value, endpoint=endpoint)
        match fault.kind:
            case Instead():
                await self._instead(fault.kind, fault, form, scope, replay, send)
            case Afterwards():
                await self._afterwards(fault.kind, fault, scope, replay, send)
            case _:
                assert_never(fault.kind)

    async def _instead(
        self, kind: Instead, fault: Fault, form: dict[str, str], scope: Scope, receive: "_Replay", send: Send
    ) -> None:
        answer: Response
        match kind:
            case Instead.RESET:
                self._listener().close_connection(scope.get("client"), reset=True)
                await receive.until_disconnected()
                return
            case Instead.STALL:
                await receive.until_disconnected()
                return
            case Instead.SLOW:
                # A disconnect does not stop a server that has the whole request.
                await fault.wait()
                await self._app(scope, receive, send)
                return
            case Instead.SERVER_ERROR:
                answer = self._server_error(fault)
            case Instead.RATE_LIMITED:
                answer = okta_errors.rate_limited(self._throttle_headers(fault))
            case Instead.USER_RATE_LIMITED:
                answer = okta_errors.USER_RATE_LIMITED.response(self._throttle_headers(fault))
            case Instead.INVALID_GRANT:
                self._org.families.revoke_family_of(form.get("refresh_token", ""), "revoked by an administrator")
                answer = okta_errors.INVALID_REFRESH_TOKEN.response()
            case Instead.HTML:
                answer = HTMLResponse("<!doctype html><title>Hello</title><p>A captive portal says hello.</p>")
            case _:
                answer = REFUSALS[kind].response()
        await answer(scope, receive, send)

    async def _afterwards(self, kind: Afterwards, fault: Fault, scope: Scope, receive: "_Replay", send: Send) -> None:
        answer = _Captured()
        await self._app(scope, receive, answer.take)
        start, body = answer.start, bytes(answer.body)
        half = body[: len(body) // 2]
        client, listener = scope.get("client"), self._listener()
        match kind:
            case Afterwards.LOSE_ANSWER:
                listener.close_connection(client, reset=False)
            case Afterwards.RESET_MID_BODY | Afterwards.TRUNCATE:
                await send(start)  # its Content-Length promises the whole body
                await send({"type": "http.response.body", "body": half, "more_body": True})
                listener.close_connection(client, reset=kind is Afterwards.RESET_MID_BODY)
            case Afterwards.STALL_AFTER:
                pass
            case Afterwards.BROKEN_BODY:
                await Response(half, start["status"], media_type="application/json")(scope, receive, send)
                return
            case Afterwards.SERVER_ERROR_AFTER:
                await self._server_error(fault)(scope, receive, send)
                return
            case Afterwards.SLOW_ANSWER:
                await fault.wait()
                await answer.deliver(send)
                return
            case Afterwards.EDIT_ANSWER:
                await _edited(body, fault, start)(scope, receive, send)
                return
            case _:
                assert_never(kind)
        await receive.until_disconnected()

    def _server_error(self, fault: Fault) -> Response:
        headers = self._throttle_headers(fault)
        if fault.status == 500:
            return okta_errors.SERVER_ERROR.response(headers)
        return PlainTextResponse("upstream connect error", fault.status, headers)

    def _throttle_headers(self, fault: Fault) -> dict[str, str]:
        headers = {}
        match fault.retry_after:
            case None:
                pass
            case "date":
                headers["Retry-After"] = formatdate(self._org.now() + 5, usegmt=True)
            case "garbage":
                headers["Retry-After"] = "soon, perhaps"
            case value:
                headers["Retry-After"] = str(value)
        if fault.reset_in is not None:
            reset = str(int(self._org.now() + fault.reset_in))
            headers |= {"X-Rate-Limit-Limit": "1200", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": reset}
        return headers


def _edited(body: bytes, fault: Fault, start: Message) -> Response:
    members = {**json.loads(body), **(fault.set or {})}
    kept = {name: value for name, value in members.items() if value is not None}
    return Response(json.dumps(kept), start["status"], media_type="application/json")


async def _whole_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or len(body) > MAX_BODY:
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


class _Replay:
    """An ASGI `receive` that replays a body, then continues with the connection's messages."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def until_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _Captured:
    def __init__(self) -> None:
        self.start: Message = {"type": "http.response.start", "status": 500, "headers": []}
        self.body = bytearray()

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    async def deliver(self, send: Send) -> None:
        await send(self.start)
        await send({"type": "http.response.body", "body": bytes(self.body)})
