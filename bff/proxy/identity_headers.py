"""Identity headers: claims of the user as header fields, in proxy mode and for forward authentication.

Values are visible ASCII, so that neither side of a connection trims, folds or splits them: everything else is
percent-encoded UTF-8, and so are a comma inside an item of a list and a percent sign.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from bff.http1.response_parser import Header

VALUE_LIMIT: Final = 4096  # bytes of one value

# Needs no encoding: visible ASCII and single inner spaces, without a percent sign.
_PLAIN: Final = re.compile(r"[!-$&-~]+(?: [!-$&-~]+)*")
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_VISIBLE_IN_LIST: Final = _VISIBLE.replace(",", "")


def identity_fields(headers: Iterable[tuple[bytes, str]], claim_of: Callable[[str], Any]) -> list[Header]:
    """The fields of those `headers`, given with the names of their claims, whose claim has a header form.

    The others are left out: to many servers an empty value is a user without a name.
    """
    fields = [(name, field_value(claim_of(claim))) for name, claim in headers]
    return [field for field in fields if field[1]]


def field_value(claim: Any) -> bytes:
    """A claim as a header value; empty without a claim, and for one that is an object, too long, or not Unicode."""
    try:
        text = _text(claim)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can contain (RFC 8259 section 8.2)
        return b""
    return text.encode("ascii") if len(text) <= VALUE_LIMIT else b""


def _text(claim: Any) -> str:
    match claim:
        case bool() | str() | int() | float():
            text = _scalar(claim)
            return text if _PLAIN.fullmatch(text) else _encoded(text, _VISIBLE)
        case list() | tuple():
            return _list_text(claim)
        case _:
            return ""  # an object has no canonical header form


def _scalar(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list_text(claim: Sequence[Any]) -> str:
    with suppress(TypeError):  # not only texts
        text = ",".join(claim)
        # All at once, since a user may be in hundreds of groups: no comma or space of an item is among the separators.
        if text.count(",") == len(claim) - 1 and _PLAIN.fullmatch(text) and ", " not in text and " ," not in text:
            return text
    items = (_scalar(item) for item in claim if isinstance(item, str | int | float))
    return ",".join(_encoded(item, _VISIBLE_IN_LIST) for item in items)


def _encoded(text: str, visible: str) -> str:
    """Percent-encodes all but the `visible` characters, and single inner spaces, which no parser trims or folds."""
    inner_spaces = text.strip(" ") == text and "  " not in text
    return quote(text, safe=visible + " " if inner_spaces else visible)
