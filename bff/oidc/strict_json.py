"""Strict JSON from a provider: every document has one meaning or is rejected.

The standard library keeps the last of two equal names, accepts NaN and Infinity, turns 1e400 into infinity and recurses
until the stack is exhausted. Parsers that disagree about such a document let forged claims pass (RFC 8259 section 4,
RFC 7515 section 10.12), so each of these is rejected here.
"""

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 32  # levels of nesting; Okta's deepest document has four


class JsonRefused(ValueError):
    """The document is not one unambiguous JSON object."""


def read_object(document: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The JSON object in `document`. Raises only JsonRefused."""
    if len(document) > max_bytes:
        raise JsonRefused(f"longer than {max_bytes} bytes")
    try:
        value = json.loads(
            document.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except JsonRefused:
        raise
    except RecursionError:
        raise JsonRefused("nested too deeply") from None
    except ValueError:  # not UTF-8, not JSON, or a number of thousands of digits
        raise JsonRefused("not JSON") from None
    if not isinstance(value, dict):
        raise JsonRefused("not a JSON object")
    _check_values(value, max_depth)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise JsonRefused("a name appears twice")
    return names


def _refuse_constant(_: str) -> NoReturn:
    raise JsonRefused("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonRefused("a number is out of range")
    return number


def _check_values(document: dict[str, Any], max_depth: int) -> None:
    level: list[Any] = [document]
    for _ in range(max_depth):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        if not below:
            return
        level = below
    raise JsonRefused("nested too deeply")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, such as "\ud800": neither store nor log could encode it
        raise JsonRefused("a string contains a lone surrogate") from None
