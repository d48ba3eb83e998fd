"""What a request to the provider came to, and a response body within bounds."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bff import __version__
from bff.oidc.token import NoAnswer

USER_AGENT: Final = f"okta-bff/{__version__}"
# Short: a refresh sent on a connection that the provider is closing has an unknown outcome.
KEEP_ALIVE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`complete` is False when the status arrived but the body was invalid, too large or late; then `body` is empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    complete: bool = True
    why: str = ""


Outcome: TypeAlias = HttpResponse | NoAnswer


class BodyRefused(Exception):
    """The body is too large, invalid, or encoded in another way than was requested."""


class BoundedBody:
    """Collects at most `limit` bytes, both compressed and decompressed.

    Decompresses in bounded steps: one chunk of a gzip bomb would expand to gigabytes before it could be counted.
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        """Raises BodyRefused for an encoding that was not requested."""
        encoding = content_encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise BodyRefused("the body has an encoding that was not requested")
        self._unpack = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
        self._limit, self._received, self._body = limit, 0, bytearray()

    def add(self, chunk: bytes) -> None:
        """Raises BodyRefused."""
        self._received += len(chunk)
        try:
            self._body += (
                chunk if self._unpack is None else self._unpack.decompress(chunk, self._limit + 1 - len(self._body))
            )
        except zlib.error:
            raise BodyRefused("the body is not valid gzip") from None
        if max(self._received, len(self._body)) > self._limit:
            raise BodyRefused(f"the body is longer than {self._limit} bytes")

    def end(self) -> bytes:
        """The whole body. Raises BodyRefused if it is truncated."""
        if self._unpack is not None and self._received and not self._unpack.eof:
            raise BodyRefused("the body is truncated")
        return bytes(self._body)
