"""Bodies of our own endpoints: bounded in size and time, of one media type, each parameter once."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from bff.errors import BffError, InvalidRequest, RequestTooLarge, UnsupportedMediaType
from bff.web.request_body import parse_fields, read_body, read_form_fields, read_json, require_json
from tests.harness.asgi_call import http_scope

FORM = "content-type: application/x-www-form-urlencoded"


def request(*pieces: bytes, lines: tuple[str, ...] = (), then: Message | None = None) -> Request:
    """`then` follows the pieces instead of the end; without it, and without an end, nothing ever arrives."""
    left: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left.append({"type": "http.request", "body": b"", "more_body": False} if then is None else then)

    async def receive() -> Message:
        if left[0]["type"] == "nothing":
            await asyncio.Event().wait()
        return left.pop(0)

    return Request(http_scope("POST", "/", *lines), receive)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (request(b"abc", b"de"), None),
        (request(b"abc", b"def"), RequestTooLarge),
        (request(b"abcde", lines=("content-length: 5",)), None),
        (request(then={"type": "nothing"}, lines=("content-length: 6",)), RequestTooLarge),
        (request(b"abcdef", lines=("content-length: no",)), RequestTooLarge),
        (request(b"abc", then={"type": "nothing"}), InvalidRequest),
        (request(b"abc", then={"type": "http.disconnect"}), InvalidRequest),
    ],
)
async def test_a_body_is_bounded_in_size_and_time(body: Request, error: type[BffError] | None) -> None:
    if error is None:
        assert await read_body(body, 5) == b"abcde"
        return
    with pytest.raises(error):
        await read_body(body, 5, timeout=0.001)


@pytest.mark.parametrize(
    ("encoded", "fields"),
    [
        (b"", {}),
        (b"a=1&b=%C3%A9&c=&d", {"a": "1", "b": "é", "c": "", "d": ""}),
        *(
            (wrong, None)
            for wrong in (b"a=1&a=2", b"a=%ff", b"a=\xff", b"&".join(b"%d=" % number for number in range(21)))
        ),
    ],
)
async def test_each_parameter_comes_once(encoded: bytes, fields: dict[str, str] | None) -> None:
    if fields is None:
        with pytest.raises(InvalidRequest):
            parse_fields(encoded)
        return
    assert await read_form_fields(request(encoded, lines=(f"{FORM}; charset=utf-8",)), 1000) == fields
    with pytest.raises(UnsupportedMediaType):
        await read_form_fields(request(encoded), 1000)


@pytest.mark.parametrize(
    ("body", "content"), [(b"", {}), (b'{"a": [1]}', {"a": [1]}), (b"[]", None), (b'{"a":1,"a":2}', None), (b"{", None)]
)
async def test_a_json_body_is_one_object(body: bytes, content: dict[str, Any] | None) -> None:
    if content is None:
        with pytest.raises(InvalidRequest):
            await read_json(request(body))
    else:
        assert await read_json(request(body)) == content


@pytest.mark.parametrize(
    ("values", "present", "passes"),
    [
        *(([value], True, True) for value in (b"application/json", b"application/json;charset=utf-8")),
        ([b"Application/JSON ; a=b"], False, True),
        ([], False, True),
        *(
            pytest.param(values, True, False, id=f"CS-016-{number}")
            for number, values in enumerate(
                (
                    [b"multipart/form-data; boundary=x"],
                    [b"application/x-www-form-urlencoded"],
                    [b"text/plain"],
                    [b"text/plain; application/json"],
                    [b"application/json, text/plain"],
                    [b"application/json", b"text/plain"],
                    [b"application/json", b"application/json"],
                    [b"application/jsonp"],
                    [b"\x0bapplication/json"],
                )
            )
        ),
        pytest.param([], True, False, id="CS-017-none"),
        pytest.param([b""], True, False, id="CS-017-empty"),
        ([b"application/x-www-form-urlencoded"], False, False),
    ],
)
def test_only_json_passes_where_json_is_required(values: list[bytes], present: bool, passes: bool) -> None:
    headers = [(b"Content-Type", value) for value in values]
    if passes:
        require_json(headers, body_present=present)
    else:
        with pytest.raises(UnsupportedMediaType):
            require_json(headers, body_present=present)
