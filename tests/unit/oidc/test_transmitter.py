"""What a transmitter says of itself and of the stream, and the messages of poll delivery."""

import json
from typing import Any

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.metadata import MetadataRefused
from bff.oidc.transmitter import (
    POLL,
    EventStream,
    PollRequest,
    configuration_url,
    parse_poll_response,
    parse_streams,
    parse_transmitter_metadata,
    poll_stream,
)

ISSUER = "https://t.example/realms/x"
METADATA = {
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/keys",
    "configuration_endpoint": f"{ISSUER}/streams",
    "verification_endpoint": f"{ISSUER}/verify",
}
STREAM: dict[str, Any] = {
    "stream_id": "s1",
    "iss": ISSUER,
    "aud": "https://app.example",
    "delivery": {"method": POLL, "endpoint_url": f"{ISSUER}/poll"},
    "events_delivered": ["urn:a"],
    "events_requested": ["urn:a", "urn:b"],
}


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://org.okta.com", "https://org.okta.com/.well-known/ssf-configuration"),
        (ISSUER, "https://t.example/.well-known/ssf-configuration/realms/x"),
        ("https://t.example:8443/a/", "https://t.example:8443/.well-known/ssf-configuration/a"),
    ],
)
def test_the_metadata_is_between_host_and_path(issuer: str, url: str) -> None:
    assert configuration_url(issuer) == url


def test_metadata_of_the_transmitter() -> None:
    metadata = parse_transmitter_metadata(json.dumps(METADATA).encode(), ISSUER)
    assert (metadata.jwks_uri, metadata.configuration_endpoint) == (f"{ISSUER}/keys", f"{ISSUER}/streams")
    only_keys = {name: METADATA[name] for name in ("issuer", "jwks_uri")}
    assert parse_transmitter_metadata(json.dumps(only_keys).encode(), ISSUER).configuration_endpoint is None
    critical = {**METADATA, "critical_subject_members": ["user", "device", 7]}
    assert parse_transmitter_metadata(json.dumps(critical).encode(), ISSUER).critical_members == {"user", "device"}


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://t.example"},
        {"jwks_uri": None},
        {"jwks_uri": "http://t.example/keys"},
        {"jwks_uri": 1},
        {"critical_subject_members": "device"},
    ],
)
def test_metadata_that_cannot_be_used(changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataRefused):
        parse_transmitter_metadata(json.dumps({**METADATA, **changes}).encode(), ISSUER)
    with pytest.raises(MetadataRefused):
        parse_transmitter_metadata(b"<html>", ISSUER)


def test_a_stream_alone_or_in_a_list() -> None:
    stream = EventStream("s1", ("https://app.example",), f"{ISSUER}/poll", ("urn:a",))
    assert parse_streams(json.dumps(STREAM).encode(), http_allowed=False) == (stream,)
    push = {
        **STREAM,
        "delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://app.example/events"},
        "aud": ["a", "b"],
    }
    assert parse_streams(json.dumps([STREAM, push]).encode(), http_allowed=False) == (
        stream,
        EventStream("s1", ("a", "b"), None, ("urn:a",)),
    )
    assert parse_streams(b"[]", http_allowed=False) == ()


@pytest.mark.parametrize(
    "document",
    [
        b"7",
        b"[7]",
        b"[",
        json.dumps({**STREAM, "stream_id": ""}).encode(),
        json.dumps({**STREAM, "aud": [1]}).encode(),
        json.dumps({**STREAM, "delivery": None}).encode(),
        json.dumps({**STREAM, "delivery": {"method": POLL, "endpoint_url": "http://t.example"}}).encode(),
    ],
)
def test_a_stream_that_cannot_be_used(document: bytes) -> None:
    with pytest.raises(MetadataRefused):
        parse_streams(document, http_allowed=False)


def test_a_poll_acknowledges_and_refuses() -> None:
    assert PollRequest().as_json() == {"maxEvents": 100, "returnImmediately": True, "ack": []}
    request = PollRequest(5, ["a"], {"b": ("invalid_key", "its signature is wrong")})
    assert request.as_json() == {
        "maxEvents": 5,
        "returnImmediately": True,
        "ack": ["a"],
        "setErrs": {"b": {"err": "invalid_key", "description": "its signature is wrong"}},
    }
    assert poll_stream(["urn:a"])["delivery"] == {"method": POLL}


def test_the_answer_to_a_poll() -> None:
    response = parse_poll_response(b'{"sets": {"a": "x.y.z"}, "moreAvailable": true}')
    assert (response.tokens, response.more) == ({"a": "x.y.z"}, True)
    for wrong in (b"[]", b"{}", b'{"sets": []}', b'{"sets": {"a": 1}}'):
        with pytest.raises(ProviderUnavailable):
            parse_poll_response(wrong)
