"""Normalizes a request path as far as any upstream might, to find out which route it could match there.

Servers process a path differently before routing: they decode it (once, twice), merge slashes (RFC 3986 section 6.2),
strip `;parameters`, white space, trailing dots and NTFS streams, apply Unicode compatibility forms, or turn backslashes
into slashes. `normalized` does all of that until nothing changes. A route's prefix is in normal form already, so an
upstream that does only some of it matches either the same prefix as `normalized`, or none of the table's.
"""

import re
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

from bff.errors import InvalidRequest

# A path without these is unambiguous. A `:` alone is plain (`/orders:export`), with a `$` it may be a stream.
_NOT_PLAIN: Final = re.compile(rb"[^A-Za-z0-9._~:@/-]|//|\.(?:/|$)")
# `%25` before two digits is one more layer of encoding: all layers are removed at once, so that a long path costs no
# more.
_NESTED_PERCENT: Final = re.compile(rb"%(?:25)+(?=[0-9A-Fa-f]{2})")
# Overlong forms of ASCII characters, which no UTF-8 decoder should accept and some do (RFC 3629 section 10).
_OVERLONG: Final = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_UNICODE_ESCAPE: Final = re.compile(rb"%[uU]([0-9A-Fa-f]{4})")  # IIS and some libraries; never standard
_AFTER_NAME: Final = re.compile(r"[;?#]")
# A plus is a space to servers that decode a path like a form.
_BLANKS: Final = " \t+\u1680\u180e\u200b\u2028\u2029\ufeff"
_LAYERS: Final = 8  # of compatibility forms that contain encodings that contain compatibility forms


def is_plain(raw_path: bytes) -> bool:
    """Whether every server reads this path the same way: no escape, empty segment, parameter or trailing dot."""
    return _NOT_PLAIN.search(raw_path) is None


def fully_decoded(raw_path: bytes) -> str:
    """The path with every layer of percent-encoding and every compatibility form undone, backslashes as slashes.

    Raises InvalidRequest for ambiguous input: bytes that are not UTF-8 at the first layer, and at any layer an encoded
    dot, slash, backslash or control character, or an overlong form of an ASCII character.
    """
    try:
        unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("The path is not UTF-8.") from None
    path = raw_path
    for _ in range(_LAYERS):
        # A name like `50%deal` is not UTF-8 once it is decoded too often; that alone is no reason to refuse it.
        inner = unquote_to_bytes(_NESTED_PERCENT.sub(b"%", _UNICODE_ESCAPE.sub(_unescaped, path)))
        if any(inner.count(separator) != path.count(separator) for separator in (b".", b"/", b"\\")):
            raise InvalidRequest("The path holds an encoded dot or separator.")
        if _OVERLONG.search(inner):
            raise InvalidRequest("The path contains an overlong form of a character.")
        text = normalize("NFKC", inner.decode("utf-8", "replace"))
        if _CONTROL.search(text):
            raise InvalidRequest("The path holds an encoded control character.")
        if (again := text.encode("utf-8")) == path:
            return text.replace("\\", "/")
        path = again
    raise InvalidRequest("The path is encoded too often.")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return chr(int(escape[1], 16)).encode("utf-8", "replace")


def normalized(raw_path: bytes) -> bytes:
    """The path in normal form, without a trailing slash.

    Raises InvalidRequest as `fully_decoded` does. The request guard refuses dot segments; here they are stripped as
    trailing dots.
    """
    segments = (_plain_segment(segment) for segment in fully_decoded(raw_path).split("/"))
    return b"".join([b"/" + segment.encode("utf-8") for segment in segments if segment])


def _plain_segment(segment: str) -> str:
    """Without parameters, and without what a server that decodes before it splits would read as a query."""
    segment = _AFTER_NAME.split(segment, maxsplit=1)[0]
    name, _, stream = segment.partition(":")
    if "$" not in stream:  # to NTFS `admin::$DATA` and `admin:$i30:$INDEX_ALLOCATION` are `admin`
        name = segment
    return name.lstrip(_BLANKS).rstrip(_BLANKS + ".")


def case_folded(path: bytes) -> bytes:
    """The path as the most generous comparison without letter case has it.

    By way of the capitals, since that is how many do it: the dotless i becomes an I, the sharp s becomes SS; the dotted
    capital I becomes an i.
    """
    if path.isascii():
        return path.lower()
    return path.decode("utf-8", "replace").replace("\u0130", "i").upper().casefold().encode("utf-8")
