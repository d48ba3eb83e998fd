"""What an answer of the pushed authorization request endpoint means (RFC 9126 sections 2.2 and 2.3)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.pushed_authorization import NotPushed, Pushed, parse_push_response, pushed_parameters

NAME = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"


def kept(**changes: Any) -> bytes:
    return json.dumps({"request_uri": NAME, "expires_in": 60, **changes}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(201, kept(), Pushed(NAME, 60), id="as the RFC says"),
        pytest.param(200, kept(), Pushed(NAME, 60), id="as Okta says"),
        pytest.param(201, kept(more="x"), Pushed(NAME, 60), id="unknown members"),
        pytest.param(201, kept(expires_in=59.9), Pushed(NAME, 59), id="a fraction of a second"),
        pytest.param(201, kept(request_uri="https://idp.example/r?a=1&b=%20"), None, id="a URL of the provider's"),
    ],
)
def test_a_request_that_was_taken_has_a_name(status: int, body: bytes, expected: Pushed | None) -> None:
    answer = parse_push_response(status, body)
    assert isinstance(answer, Pushed)
    assert expected is None or answer == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(400, b'{"error":"invalid_request"}', id="invalid_request"),
        pytest.param(401, b'{"error":"invalid_client"}', id="invalid_client"),
        pytest.param(403, b"<html>", id="a firewall's page"),
        pytest.param(404, b'{"errorCode":"E0000022"}', id="no such endpoint"),
        pytest.param(413, b"", id="an empty body"),
    ],
)
def test_a_refusal_is_distinguished_from_an_unavailable_endpoint(status: int, body: bytes) -> None:
    answer = parse_push_response(status, body)
    assert isinstance(answer, NotPushed)
    assert answer.refused


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(408, b"", id="it was slow"),
        pytest.param(429, b'{"errorCode":"E0000047"}', id="it throttles"),
        pytest.param(500, b'{"error":"invalid_request"}', id="it is broken, whatever it says"),
        pytest.param(503, b"", id="it is away"),
        pytest.param(302, b"", id="a redirect"),
        pytest.param(204, kept(), id="a status that says nothing"),
        pytest.param(201, b"", id="no body"),
        pytest.param(201, b"<html>", id="a page"),
        pytest.param(201, b'{"request_uri":"a","request_uri":"b","expires_in":60}', id="two names"),
        pytest.param(201, kept(request_uri=None), id="no name"),
        pytest.param(201, kept(request_uri=""), id="an empty name"),
        pytest.param(201, kept(request_uri=7), id="a name that is a number"),
        pytest.param(201, kept(request_uri="urn:a b"), id="a space"),
        pytest.param(201, kept(request_uri="urn:a\r\nset-cookie: x"), id="a line break"),
        pytest.param(201, kept(request_uri="urn:ä"), id="other than ASCII"),
        pytest.param(201, kept(request_uri="urn:" + "a" * 2048), id="a name without end"),
        pytest.param(201, kept(expires_in=None), id="no lifetime"),
        pytest.param(201, kept(expires_in="60"), id="a lifetime that is text"),
        pytest.param(201, kept(expires_in=True), id="a lifetime that is true"),
        pytest.param(201, kept(expires_in=0), id="a lifetime of nothing"),
        pytest.param(201, kept(expires_in=-1), id="a lifetime in the past"),
    ],
)
def test_what_is_no_name_for_a_request_is_no_refusal_either(status: int, body: bytes) -> None:
    answer = parse_push_response(status, body)
    assert isinstance(answer, NotPushed)
    assert not answer.refused


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_response_is_parsed_and_nothing_is_raised(status: int, body: bytes) -> None:
    assert isinstance(parse_push_response(status, body), Pushed | NotPushed)


def test_why_it_failed_holds_nothing_of_the_providers_text() -> None:
    answer = parse_push_response(400, b'{"error":"invalid_request","error_description":"canary"}')
    assert answer == NotPushed("status 400, invalid_request", refused=True)
    assert "canary" not in repr(parse_push_response(400, b'{"error":"can\\nary canary"}'))


def test_the_name_is_hard_to_say() -> None:
    assert NAME not in repr(Pushed(NAME, 60))


def test_the_browser_carries_the_client_and_the_name_only() -> None:
    assert pushed_parameters("0oa1", NAME) == {"client_id": "0oa1", "request_uri": NAME}
