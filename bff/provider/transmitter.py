"""The transmitter of security events over HTTP: its metadata, its keys, the stream of this receiver, and polls."""

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import KeySet
from bff.oidc.metadata import MAX_METADATA_BYTES, is_loopback_http
from bff.oidc.token import NoAnswer
from bff.oidc.transmitter import (
    MAX_POLL_BYTES,
    EventStream,
    PollRequest,
    PollResponse,
    TransmitterMetadata,
    configuration_url,
    parse_poll_response,
    parse_streams,
    parse_transmitter_metadata,
    poll_stream,
)
from bff.provider.cached_document import CachedDocument, Loaded
from bff.provider.client import require_document
from bff.provider.connections import ProviderClient
from bff.provider.key_set import KeySetCache
from bff.provider.response import HttpResponse

METADATA_LIFETIME: Final = 3600.0  # seconds
# A stream that another party changed (its audience, its events) is read again after so many seconds.
STREAM_LIFETIME: Final = 300.0

# An access token for the transmitter's API; a rejected one is not returned again. Raises ProviderUnavailable.
GetToken = Callable[[str | None], Awaitable[str]]


class HttpTransmitter:
    """Implements `bff.oidc.transmitter.SecurityEventTransmitter`."""

    def __init__(
        self,
        issuer: str,
        http: ProviderClient,
        get_token: GetToken,
        *,
        requested: Collection[str],
        timeout: float,
    ) -> None:
        """`requested` are the event types of a stream that has to be created; `timeout` is in seconds."""
        self._issuer, self._http, self._get_token = issuer, http, get_token
        self._requested, self._timeout = requested, timeout
        self._token: str | None = None
        self._metadata = CachedDocument("metadata of the transmitter", self._load_metadata, clock=time.monotonic)
        self._keys = KeySetCache(self._fetch, self._jwks_uri, clock=time.monotonic)
        self._stream = CachedDocument("stream configuration", self._load_stream, clock=time.monotonic)

    @property
    def issuer(self) -> str:
        return self._issuer

    async def keys(self, kid: str | None = None) -> KeySet:
        return await self._keys.get(kid)

    async def critical_members(self) -> Collection[str]:
        return (await self._metadata.get()).critical_members

    async def stream(self) -> EventStream:
        return await self._stream.get()

    async def poll(self, request: PollRequest) -> PollResponse:
        url = (await self.stream()).poll_url
        if url is None:
            raise ProviderUnavailable("The stream has no poll delivery.")
        answer = await self._authorized("POST", url, MAX_POLL_BYTES, request.as_json())
        return parse_poll_response(require_document(answer, "security events").body)

    async def close(self) -> None:
        for document in (self._stream, self._keys.document, self._metadata):
            await document.close()
        await self._http.close()

    async def _jwks_uri(self) -> str:
        return (await self._metadata.get()).jwks_uri

    async def _load_metadata(self) -> Loaded[TransmitterMetadata]:
        answer = await self._fetch(configuration_url(self._issuer))
        return Loaded(parse_transmitter_metadata(answer.body, self._issuer), METADATA_LIFETIME)

    async def _load_stream(self) -> Loaded[EventStream]:
        """The stream with poll delivery; without one it is created, and another replica may do that first."""
        endpoint = (await self._metadata.get()).configuration_endpoint
        if endpoint is None:
            raise ProviderUnavailable("The transmitter has no configuration endpoint.")
        stream = await self._poll_stream(endpoint)
        if stream is None:
            answer = await self._authorized("POST", endpoint, MAX_METADATA_BYTES, poll_stream(self._requested))
            stream = await self._poll_stream(endpoint)
            if stream is None:
                raise ProviderUnavailable(f"The transmitter created no stream with polls: status {answer.status}.")
        return Loaded(stream, STREAM_LIFETIME)

    async def _poll_stream(self, endpoint: str) -> EventStream | None:
        answer = await self._authorized("GET", endpoint, MAX_METADATA_BYTES)
        if answer.status == 404:
            return None
        body = require_document(answer, "stream configuration").body
        streams = parse_streams(body, http_allowed=is_loopback_http(self._issuer))
        return next((stream for stream in streams if stream.poll_url is not None), None)

    async def _authorized(
        self, method: Any, url: str, limit: int, document: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Repeats the request once with a new token if this one is rejected. Raises ProviderUnavailable."""
        for _ in range(2):
            token = self._token = self._token or await self._get_token(None)
            headers = {"authorization": f"Bearer {token}"}
            answer = await self._http.send(
                method, url, within=self._timeout, limit=limit, headers=headers, document=document
            )
            if isinstance(answer, NoAnswer):
                raise ProviderUnavailable(f"The transmitter does not answer: {answer.why}.")
            if answer.status != 401:
                return answer
            self._token = await self._get_token(token)
        raise ProviderUnavailable("The transmitter rejects the access token.")

    async def _fetch(self, url: str) -> HttpResponse:
        return require_document(
            await self._http.send("GET", url, within=self._timeout, limit=MAX_METADATA_BYTES), "document"
        )
