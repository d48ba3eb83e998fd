"""Parses the responses of a server with llhttp (httptools) in strict mode, which rejects ambiguous framing.

llhttp does not limit a head, a trailer or a chunk extension. Here everything but content is limited in bytes. Trailers
are dropped.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import httptools

Header: TypeAlias = tuple[bytes, bytes]

HEAD_LIMIT: Final = 65536  # bytes of status line and headers, including the 1xx responses before them
INFORMATIONAL_LIMIT: Final = 16  # 1xx responses before the final one
# Bytes of a chunked body that carry no data (sizes, chunk extensions, trailers), beyond what its data justifies.
CHUNK_OVERHEAD_LIMIT: Final = 16384
_OVERHEAD_OF_A_CHUNK: Final = 16  # bytes: a size, two line ends, and a short extension

_BODILESS: Final = (204, 304)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class ResponseHead(NamedTuple):
    """The final status and the headers: lower-case names, unmodified values."""

    status: int
    headers: list[Header]


class ResponseParser(ABC):
    """Parses one response after the other; `Http1Connection` adds the sending direction and the waiting."""

    __slots__ = (
        *("_answer_chunked", "_chunks", "_complete", "_head", "_head_bytes", "_headers", "_informational"),
        *("_informational_bytes", "_informational_count", "_keep_alive", "_overhead", "_parser", "_to_head"),
        "_to_the_end",
    )

    def __init__(self) -> None:
        # One for all responses: after a response that leaves the connection usable it expects the next one.
        self._parser = httptools.HttpResponseParser(self)
        self._begin_response(to_head=False)

    def _begin_response(self, *, to_head: bool) -> None:
        """`to_head`: the request's method is HEAD, so that no body follows the head."""
        self._to_head = to_head
        self._head: ResponseHead | None = None
        self._headers: list[Header] = []
        self._head_bytes = self._informational_count = self._informational_bytes = self._overhead = 0
        self._chunks: list[bytes] = []
        self._complete = self._informational = self._answer_chunked = self._to_the_end = False
        self._keep_alive = True

    @abstractmethod
    def _wake(self) -> None:
        """Called when the response has progressed."""

    @abstractmethod
    def _request_was_read(self, status: int) -> bool:
        """Whether the upstream can be trusted to take the next bytes for a new request."""

    def _feed(self, data: bytes) -> str | None:
        """Parses received bytes, and returns what is wrong with them, if anything."""
        if self._head is None:
            self._head_bytes += len(data)
        elif self._answer_chunked:
            self._overhead += len(data)  # `on_body` subtracts the data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return "switched protocols without a request to"
        except httptools.HttpParserError:
            return "not HTTP/1.1"
        # llhttp reports a header or a chunk only when it is complete, and buffers meanwhile.
        if self._head is None and self._head_bytes > HEAD_LIMIT:
            return "response head too large"
        if self._overhead > CHUNK_OVERHEAD_LIMIT:
            return "chunk extensions or trailers too large"
        return None

    # --- callbacks of llhttp. An exception ends the parsing, and `_feed` gets an HttpParserError. ---

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("bytes after the response")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # trailers are dropped: merged, they would be headers (RFC 9110 section 6.5.1)
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._informational = 100 <= status < 200
        if self._informational:
            self._count_informational(status)
            return
        if not 200 <= status < 600:
            raise ValueError("no such status")
        if self._head_bytes > HEAD_LIMIT and self._informational_bytes + _size(self._headers) > HEAD_LIMIT:
            raise ValueError("response head too large")
        keep_alive = self._parser.should_keep_alive()
        names = [name for name, _ in self._headers]
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self._headers if name == b"transfer-encoding"]
            if codings != [b"chunked"]:
                raise ValueError("an unrequested transfer coding")  # RFC 9112 section 7: no TE was sent
            self._answer_chunked = True
            keep_alive = keep_alive and self._parser.get_http_version() == "1.1"  # RFC 9112 section 6.1
        else:
            self._to_the_end = b"content-length" not in names
        bodiless = self._to_head or status in _BODILESS
        # A response that has no body by definition has no framed end either: an upstream that sends one all the same
        # may send it at any time, whatever its headers say.
        self._keep_alive = keep_alive and not bodiless and self._request_was_read(status)
        self._head = ResponseHead(status, self._headers)
        self._complete = bodiless
        self._wake()

    def _count_informational(self, status: int) -> None:
        self._informational_count += 1
        self._informational_bytes += _size(self._headers)
        if status == 101:
            raise ValueError("101 without an Upgrade")
        if self._informational_count > INFORMATIONAL_LIMIT or self._informational_bytes > HEAD_LIMIT:
            raise ValueError("too many informational responses")
        if not _FRAMING.isdisjoint([name for name, _ in self._headers]):
            raise ValueError("an informational response with a body")  # RFC 9110 section 15.2

    def on_body(self, body: bytes) -> None:
        if self._complete:
            raise ValueError("a body where none is allowed")
        if self._answer_chunked:
            self._overhead = max(0, self._overhead - len(body) - len(body) - _OVERHEAD_OF_A_CHUNK)
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
            return
        self._complete = True
        self._wake()


def _size(headers: Sequence[Header]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
