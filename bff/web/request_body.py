"""Request bodies of our own endpoints: read whole, bounded in size and time, of one media type."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from bff.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType
from bff.oidc.strict_json import JsonRefused, read_object
from bff.web.cookies import Header

FORM = "application/x-www-form-urlencoded"
JSON_LIMIT = 4096  # bytes
BODY_TIMEOUT = 20.0  # seconds


async def read_body(request: Request, limit: int, *, timeout: float = BODY_TIMEOUT) -> bytes:
    """At most `limit` bytes, within `timeout` seconds.

    Raises RequestTooLarge, before reading if Content-Length says so, and InvalidRequest for a body that does not arrive
    completely.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise RequestTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise RequestTooLarge
    except TimeoutError:
        raise InvalidRequest("The request body did not arrive.") from None
    except ClientDisconnect:  # unhandled it would be logged as an internal error
        raise InvalidRequest("The client disconnected.") from None
    return bytes(body)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form_fields(request: Request, limit: int) -> dict[str, str]:
    """An urlencoded form. Raises UnsupportedMediaType, RequestTooLarge, InvalidRequest."""
    if media_type(request) != FORM:
        raise UnsupportedMediaType(f"Send {FORM}.")
    return parse_fields(await read_body(request, limit))


def parse_fields(encoded: bytes) -> dict[str, str]:
    """Names and values, each name once. Raises InvalidRequest."""
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise InvalidRequest("The parameters cannot be read.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidRequest("A parameter came more than once.")
    return fields


def require_json(headers: Sequence[Header], *, body_present: bool) -> None:
    """Raises UnsupportedMediaType unless the body is JSON.

    A cross-site page could send a form or text/plain without a preflight.
    """
    sent = [value for name, value in headers if name.lower() == b"content-type"]
    media_types = [value.partition(b";")[0].strip(b" \t").lower() for value in sent]
    if media_types != [b"application/json"] and (media_types or body_present):
        raise UnsupportedMediaType("Send application/json.")


async def read_json(request: Request, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """A JSON object; an empty body counts as `{}`.

    Raises RequestTooLarge, InvalidRequest. `require_json` checks the content type.
    """
    body = await read_body(request, limit)
    if not body:
        return {}
    try:
        return read_object(body, max_bytes=limit)
    except JsonRefused as refused:
        raise InvalidRequest(f"The body is {refused}.") from None
