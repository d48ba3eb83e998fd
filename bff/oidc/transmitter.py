"""The transmitter of security events: its metadata, the stream's configuration, and poll delivery (SSF 1.0, RFC 8936).

`SecurityEventTransmitter` is the port; `bff.provider.transmitter` implements it over HTTP.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import MAX_METADATA_BYTES, Members, MetadataRefused, is_loopback_http
from bff.oidc.strict_json import JsonRefused, read_object

POLL: Final = "urn:ietf:rfc:8936"
MAX_TOKENS: Final = 100  # of one poll
MAX_POLL_BYTES: Final = 4 << 20
MAX_IDENTIFIER: Final = 2048


@dataclass(frozen=True, slots=True)
class TransmitterMetadata:
    """What we use of the transmitter's configuration metadata (SSF 1.0 section 7.1). Every URL has been validated."""

    issuer: str
    jwks_uri: str
    configuration_endpoint: str | None = None
    critical_members: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EventStream:
    """A stream's configuration (SSF 1.0 section 8.1.1). `poll_url` is None for push delivery."""

    stream_id: str
    audiences: tuple[str, ...]
    poll_url: str | None
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PollRequest:
    """`acknowledged` are the `jti` of durable tokens, `refused` those of invalid ones, each with its RFC 8935 error."""

    max_events: int = MAX_TOKENS
    acknowledged: Sequence[str] = ()
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        errors = {jti: {"err": err, "description": text} for jti, (err, text) in self.refused.items()}
        body: dict[str, Any] = {"maxEvents": self.max_events, "returnImmediately": True, "ack": [*self.acknowledged]}
        return body if not errors else {**body, "setErrs": errors}


@dataclass(frozen=True, slots=True)
class PollResponse:
    """`tokens` are compact SETs by the `jti` under which they are acknowledged."""

    tokens: Mapping[str, str] = field(repr=False)
    more: bool


class SecurityEventTransmitter(Protocol):
    """Every method raises ProviderUnavailable while the transmitter, or what it says, cannot be used."""

    @property
    def issuer(self) -> str: ...

    async def keys(self, kid: str | None = None) -> KeySet:
        """The signing keys; refetched, within limits, for an unknown `kid`."""
        ...

    async def critical_members(self) -> Collection[str]:
        """The members of a complex subject without which an event must not be acted on (SSF 1.0 section 3.6)."""
        ...

    async def stream(self) -> EventStream:
        """The stream of this receiver with poll delivery; it is created if there is none."""
        ...

    async def poll(self, request: PollRequest) -> PollResponse: ...


def configuration_url(issuer: str) -> str:
    """Where the metadata is: between host and path of the issuer (SSF 1.0 section 7.2, RFC 8615)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/ssf-configuration{parts.path.rstrip('/')}"


def parse_transmitter_metadata(document: bytes, issuer: str) -> TransmitterMetadata:
    """Raises MetadataRefused. `issuer` must be equal to the configured one (SSF 1.0 section 7.2.3)."""
    fields = _object(document, MAX_METADATA_BYTES, "The metadata of the transmitter")
    if fields.get("issuer") != issuer:
        raise MetadataRefused("issuer: the transmitter's metadata names another issuer than the one configured.")
    members = Members(fields, http_allowed=is_loopback_http(issuer))
    critical = fields.get("critical_subject_members") or []
    if not isinstance(critical, list):
        raise MetadataRefused("critical_subject_members: not a list.")
    return TransmitterMetadata(
        issuer,
        members.required_url("jwks_uri"),
        members.url("configuration_endpoint"),
        frozenset(name for name in critical if isinstance(name, str)),
    )


def parse_streams(document: bytes, *, http_allowed: bool) -> tuple[EventStream, ...]:
    """The streams of a configuration document: one, or a list of them. Raises MetadataRefused."""
    try:
        fields = read_object(document, max_bytes=MAX_METADATA_BYTES)
    except JsonRefused:
        # A list (without `stream_id` in the request): read as the member of an object, for the same strict parser.
        fields = _object(b'{"streams":' + document + b"}", MAX_METADATA_BYTES + 16, "The stream configuration")
        listed = fields["streams"]
        if not isinstance(listed, list) or not all(isinstance(stream, dict) for stream in listed):
            raise MetadataRefused("The stream configuration is neither an object nor a list of objects.") from None
        return tuple(_stream(stream, http_allowed=http_allowed) for stream in listed)
    return (_stream(fields, http_allowed=http_allowed),)


def poll_stream(endpoint_types: Collection[str]) -> dict[str, Any]:
    """The document that requests a stream with poll delivery (SSF 1.0 section 8.1.1.1)."""
    return {"delivery": {"method": POLL}, "events_requested": list(endpoint_types), "description": "okta-bff"}


def parse_poll_response(document: bytes) -> PollResponse:
    """The answer to a poll (RFC 8936 section 2.3). Raises ProviderUnavailable."""
    fields = _object(document, MAX_POLL_BYTES, "The answer to a poll")
    tokens = fields.get("sets")
    if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
        raise ProviderUnavailable("The answer to a poll has no object of tokens.")
    return PollResponse(tokens, fields.get("moreAvailable") is True)


def _stream(fields: dict[str, Any], *, http_allowed: bool) -> EventStream:
    stream_id, aud, delivery = fields.get("stream_id"), fields.get("aud"), fields.get("delivery")
    audiences = tuple(aud) if isinstance(aud, list) else () if aud is None else (aud,)
    if not isinstance(stream_id, str) or not 0 < len(stream_id) <= MAX_IDENTIFIER:
        raise MetadataRefused("stream_id: missing, or not a short string.")
    if not all(isinstance(audience, str) for audience in audiences):
        raise MetadataRefused("aud: not a string or a list of strings.")
    if not isinstance(delivery, dict):
        raise MetadataRefused("delivery: missing.")
    endpoint = Members(delivery, http_allowed=http_allowed)
    poll_url = endpoint.required_url("endpoint_url") if delivery.get("method") == POLL else None
    types = fields.get("events_delivered", fields.get("events_requested"))
    named = tuple(type_ for type_ in types if isinstance(type_, str)) if isinstance(types, list) else ()
    return EventStream(stream_id, audiences, poll_url, named)


def _object(document: bytes, limit: int, what: str) -> dict[str, Any]:
    try:
        return read_object(document, max_bytes=limit)
    except JsonRefused as refused:
        raise MetadataRefused(f"{what} is {refused}.") from None
