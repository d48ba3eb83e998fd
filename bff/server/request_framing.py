"""Request framing (RFC 9112): decides from the bytes and the headers where a request ends on its connection.

Pure: no server, no socket. The server's protocol feeds the parser one head at a time, and the parser does not decide
where a body ends: request smuggling exploits two different decisions about where the next request begins. Every
ambiguous message is refused, even where the RFC lets a server repair it.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, TypeAlias

from bff.errors import HeadersTooLarge, InvalidRequest, TargetTooLong

Header: TypeAlias = tuple[bytes, bytes]

# Bytes of a request line and the headers together, counted from the first byte of the connection or from the end of the
# last request. The request guard's limits for target and headers are smaller, and have more specific errors.
HEAD_LIMIT: Final = 65536
REQUEST_LINE_LIMIT: Final = 16384  # bytes; if no line ends before that, the target is too long
CHUNK_LINE_LIMIT: Final = 256  # bytes of a chunk's size and its extensions
EXTENSIONS_LIMIT: Final = 16384  # bytes of all extensions of one body
TRAILERS_LIMIT: Final = 16384  # bytes of all trailers of one body; they are checked, and dropped
# Chunks that are parsed without a pause. One read may hold 40,000 chunks of one byte, and all other connections of the
# process would wait for them.
CHUNKS_AT_ONCE: Final = 256

EMPTY_LINES: Final = 100  # before a request line; section 2.2 asks servers to ignore one

_END: Final = b"\r\n\r\n"
# A bare carriage return or line feed.
_ALONE: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")
# RFC 9112 section 7.1. An extension may contain anything but control characters; a size has at most sixteen digits.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class Upgrade(Enum):
    NONE = 0
    WEBSOCKET = 1
    OTHER = 2  # another protocol, CONNECT, or an Upgrade that Connection does not list: the last request


def find_head(buffer: bytes | bytearray, scanned: int = 0) -> int:
    """The length in bytes of the head at the start of `buffer`, its empty line included; 0 if the head is incomplete.

    The first `scanned` bytes were searched before. Raises TargetTooLong, HeadersTooLarge for a head over `HEAD_LIMIT`,
    and InvalidRequest if the bytes cannot become a valid head.
    """
    head_end = buffer.find(_END, max(0, scanned - 3), HEAD_LIMIT)
    if head_end >= 0:
        return head_end + 4
    if len(buffer) >= REQUEST_LINE_LIMIT and buffer.find(b"\n", 0, REQUEST_LINE_LIMIT) < 0:
        raise TargetTooLong
    if len(buffer) >= HEAD_LIMIT:
        raise HeadersTooLarge
    if buffer and (_ALONE.search(buffer, max(0, scanned - 1)) or not _TOKEN.match(buffer)):
        raise InvalidRequest("The request is not valid HTTP.")
    return 0


def check_head(head: bytes, target: bytes, headers: int) -> None:
    """Raises InvalidRequest unless the parser read exactly this head, and every other implementation would read it so.

    `target` and the number of `headers` are the parser's results. The request line has three parts, separated by one
    space each, and ends with HTTP/1.0 or HTTP/1.1 (RFC 9112 section 3). There is one line feed per line, so no line was
    folded and the empty line was the last; the parser rejects a line feed or carriage return alone. A target contains
    no fragment (section 3.2).
    """
    end = head.find(b"\r\n")
    if not head.startswith((b" HTTP/1.1", b" HTTP/1.0"), end - 9) or head.count(b" ", 0, end) != 2:
        raise InvalidRequest("The request line is not one of HTTP/1.1 or HTTP/1.0.")
    if head.count(b"\n") != headers + 2:
        raise InvalidRequest("The headers can be parsed in two ways.")
    if b"#" in target or not target.isascii():
        raise InvalidRequest("The request target contains an invalid character.")


class LengthBody:
    """A body of a known length in bytes (RFC 9112 section 6.2)."""

    __slots__ = ("remaining",)
    unfinished = False  # never: a body of a known length is taken in one step

    def __init__(self, length: int) -> None:
        self.remaining = length

    @property
    def ended(self) -> bool:
        return not self.remaining

    def take(self, buffer: bytearray) -> bytes:
        """Takes the body's bytes from the start of `buffer`."""
        piece = bytes(memoryview(buffer)[: self.remaining])
        del buffer[: len(piece)]
        self.remaining -= len(piece)
        return piece


class ChunkedBody:
    """A chunked body (RFC 9112 section 7.1). Extensions and trailers are bounded, checked and dropped."""

    def __init__(self) -> None:
        self.ended = self.unfinished = False
        self._in_chunk = 0  # bytes left of the chunk
        self._after_chunk = False  # CRLF is expected
        self._in_trailers = False
        self._extensions = self._trailers = 0  # bytes so far

    def take(self, buffer: bytearray) -> bytes:
        """Takes the body's bytes from the start of `buffer`, and returns their content.

        Takes at most `CHUNKS_AT_ONCE` chunks; `unfinished` then says that `buffer` may hold more of them.
        Raises InvalidRequest for invalid chunked encoding, HeadersTooLarge for trailers over the limit.
        """
        content = bytearray()
        lines, self.unfinished = 0, False
        while not self.ended:
            if self._in_chunk:
                if not buffer:
                    break
                with memoryview(buffer) as view:
                    content += view[: self._in_chunk]
                taken = min(self._in_chunk, len(buffer))
                del buffer[:taken]
                self._in_chunk -= taken
                self._after_chunk = not self._in_chunk
            elif self._after_chunk:
                if len(buffer) < 2:
                    if buffer and buffer != b"\r":
                        raise InvalidRequest("A chunk of the body does not end at its stated size.")
                    break
                if not buffer.startswith(b"\r\n"):
                    raise InvalidRequest("A chunk of the body does not end at its stated size.")
                del buffer[:2]
                self._after_chunk = False
            elif lines == CHUNKS_AT_ONCE:
                self.unfinished = bool(buffer)
                break
            else:
                line = self._line(buffer)
                if line is None:
                    break
                lines += 1
                if self._in_trailers:
                    self._trailer(line)
                else:
                    self._chunk_line(line)
        return bytes(content)

    def _line(self, buffer: bytearray) -> bytes | None:
        limit = TRAILERS_LIMIT if self._in_trailers else CHUNK_LINE_LIMIT
        end = buffer.find(b"\n", 0, limit)
        if end < 0:
            if len(buffer) >= limit:
                raise HeadersTooLarge if self._in_trailers else InvalidRequest("A chunk line is too long.")
            return None
        line = bytes(buffer[: end + 1])
        if not line.endswith(b"\r\n") or line.count(b"\r") > 1:
            raise InvalidRequest("A line of the body does not end with CRLF.")
        del buffer[: end + 1]
        return line[:-2]

    def _chunk_line(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise InvalidRequest("The size of a chunk is invalid.")
        self._extensions += len(line) - len(match[1])
        if self._extensions > EXTENSIONS_LIMIT:
            raise InvalidRequest("The body has too many chunk extensions.")
        self._in_chunk = int(match[1], 16)
        self._in_trailers = not self._in_chunk

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        self._trailers += len(line) + 2
        if self._trailers > TRAILERS_LIMIT:
            raise HeadersTooLarge
        if not _TRAILER.fullmatch(line):
            raise InvalidRequest("A trailer is malformed.")


Body: TypeAlias = LengthBody | ChunkedBody


def decide_framing(method: str, version: str, headers: Sequence[Header]) -> tuple[Body | None, Upgrade]:
    """What follows a head on its connection: a body or None, and whether another protocol is requested.

    Names are in lower case. Raises InvalidRequest for an ambiguous head (RFC 9112 sections 3.2, 6.1 and 6.3, RFC 9110
    section 7.8), and for any length beside `Upgrade` or CONNECT: what follows such a head is either a body or another
    protocol, and two intermediaries may disagree.
    """
    fields = dict(headers)
    once = len(fields) == len(headers) and b"host" in fields  # the shape of nearly all requests
    if once and b"transfer-encoding" not in fields and b"upgrade" not in fields and method != "CONNECT":
        length = fields.get(b"content-length")
        return None if length is None else _length_body(length), Upgrade.NONE
    body: Body | None = None
    hosts = stated = 0
    protocols: list[bytes] = []
    connection = b""
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            stated += 1
            body = _length_body(value)
        elif name == b"transfer-encoding":
            stated += 1
            # HTTP/1.0 has no transfer codings: such a message passed two programs that disagree (section 6.1).
            if version == "1.0" or value.lower() != b"chunked":
                raise InvalidRequest("The Transfer-Encoding is not chunked, or the version is not HTTP/1.1.")
            body = ChunkedBody()
        elif name == b"upgrade":
            protocols.append(value)
        elif name == b"connection":
            connection += b"," + value
    if stated > 1:
        raise InvalidRequest("The length of the request is stated more than once.")
    if hosts > 1 or (not hosts and version != "1.0"):
        raise InvalidRequest("The request needs exactly one Host.")
    if not protocols and method != "CONNECT":
        return body, Upgrade.NONE
    if stated:
        raise InvalidRequest("A request for another protocol states the length of a body.")
    named = b"upgrade" in [option.strip(b" \t").lower() for option in connection.split(b",")]
    if not named or len(protocols) != 1 or protocols[0].lower() != b"websocket":
        return None, Upgrade.OTHER
    if method != "GET" or version != "1.1":
        raise InvalidRequest("A WebSocket handshake requires GET and HTTP/1.1.")
    return None, Upgrade.WEBSOCKET


def _length_body(length: bytes) -> LengthBody | None:
    if not length.isdigit() or len(length) > 18:
        raise InvalidRequest("The Content-Length is malformed.")
    count = int(length)
    return LengthBody(count) if count else None
