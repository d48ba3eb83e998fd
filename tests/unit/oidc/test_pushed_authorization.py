"""Responses to a pushed authorization request (RFC 9126 sections 2.2 and 2.3)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.pushed_authorization import NotPushed, Pushed, parse_push_response, pushed_parameters

URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"


def stored(**changes: Any) -> bytes:
    return json.dumps({"request_uri": URI, "expires_in": 60, **changes}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(201, stored(), Pushed(URI, 60), id="RFC"),
        pytest.param(200, stored(), Pushed(URI, 60), id="Okta"),
        pytest.param(201, stored(more="x", expires_in=59.9), Pushed(URI, 59), id="unknown member, fraction"),
        pytest.param(201, stored(expires_in=1), Pushed(URI, 1), id="shortest lifetime"),
        pytest.param(201, stored(request_uri="https://i/r?a=%20"), Pushed("https://i/r?a=%20", 60), id="URL"),
        pytest.param(201, stored(request_uri="u" * 2048), Pushed("u" * 2048, 60), id="longest"),
    ],
)
def test_a_stored_request_has_a_reference(status: int, body: bytes, expected: Pushed) -> None:
    assert parse_push_response(status, body) == expected
    assert expected.request_uri not in repr(expected)


BAD_URIS = (None, "", 7, "urn:a b", "urn:a\r\nset-cookie: x", "urn:a\n", "urn:ä", "u" * 2049)
BAD_LIFETIMES = (None, "60", True, 0, 0.9, -1)


@pytest.mark.parametrize(
    ("status", "body", "refused", "why"),
    [
        (400, b'{"error":"invalid_request","error_description":"canary"}', True, "invalid_request"),
        (400, b'{"error":"can\\nary canary"}', True, "unreadable"),
        (401, b'{"error":"invalid_client"}', True, "invalid_client"),
        (403, b"<html>", True, "the body is"),
        (404, b'{"errorCode":"E0000022"}', True, "E0000022"),
        (408, b'{"error":"invalid_request"}', False, "408"),
        (429, b'{"errorCode":"E0000047"}', False, "429"),
        (500, b'{"error":"invalid_request"}', False, "500"),
        (302, b"{}", False, "302"),
        (204, stored(), False, "204"),
        (201, b"", False, "the body is"),
        (201, b'{"request_uri":"a","request_uri":"b","expires_in":60}', False, "twice"),
        *[(201, stored(request_uri=uri), False, "request_uri") for uri in BAD_URIS],
        *[(201, stored(expires_in=seconds), False, "expires_in") for seconds in BAD_LIFETIMES],
    ],
)
def test_a_refusal_is_distinguished_from_an_unavailable_endpoint(
    status: int, body: bytes, refused: bool, why: str
) -> None:
    result = parse_push_response(status, body)
    assert isinstance(result, NotPushed)
    assert result.refused is refused
    assert why in result.why
    assert "canary" not in result.why


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_response_makes_parsing_raise(status: int, body: bytes) -> None:
    assert isinstance(parse_push_response(status, body), Pushed | NotPushed)


def test_the_browser_carries_the_client_id_and_the_reference_only() -> None:
    assert pushed_parameters("0oa1", URI) == {"client_id": "0oa1", "request_uri": URI}
