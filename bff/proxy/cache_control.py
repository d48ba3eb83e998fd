"""Cache-Control of responses to authenticated requests (RFC 9111 section 5.2.2)."""

import re
from functools import lru_cache
from typing import Final

_DIRECTIVE: Final = re.compile(rb'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:=([^\s,"]*|"(?:[^"\\]|\\.)*"))?\s*(?:,|\Z)')
_LONGEST: Final = 1024  # bytes; a longer value is replaced by no-store
_EMPTY: Final = re.compile(rb"[\s,]*")
_FOR_ALL: Final = frozenset({b"public", b"s-maxage"})


def authenticated_cache_control(value: bytes | None, *, allow_shared: bool) -> bytes:
    """Cache-Control for the response to a request with a session.

    An upstream may send `max-age` alone, because shared caches do not store a response to a request with Authorization
    (RFC 9111 section 3.5). The browser's request carries a cookie instead, so `private` is added. `public` and
    `s-maxage` are removed unless the route allows shared caches. A missing or malformed value becomes `no-store`.
    """
    if value is None or len(value) > _LONGEST:
        return b"no-store"
    return _authenticated(value, allow_shared)


@lru_cache(maxsize=256)
def _authenticated(value: bytes, allow_shared: bool) -> bytes:
    directives = _read(value)
    if not directives:
        return b"no-store"
    # With an argument (`private="set-cookie"`) the directive covers single fields, and the rest may be stored.
    kept_private = any(text.lower() in (b"private", b"no-store") for _, text in directives)
    for_all = any(name in _FOR_ALL for name, _ in directives)
    if for_all and not allow_shared:
        value = b", ".join([text for name, text in directives if name not in _FOR_ALL])
        if not value:
            return b"private"
    elif for_all:
        return value
    return value if kept_private else value + b", private"


def _read(value: bytes) -> list[tuple[bytes, bytes]]:
    """The directives, each by its name in lower case and as it was written; none if the value is malformed."""
    directives: list[tuple[bytes, bytes]] = []
    position = _after_separators(value, 0)
    while position < len(value):
        match = _DIRECTIVE.match(value, position)
        if match is None:
            return []
        text = value[match.start(1) : match.end(2) if match[2] is not None else match.end(1)]
        directives.append((match[1].lower(), text))
        position = _after_separators(value, match.end())
    return directives


def _after_separators(value: bytes, position: int) -> int:
    match = _EMPTY.match(value, position)
    return match.end() if match is not None else position
