"""The sealed record: a Session as JSON with a schema version, encrypted and bound to its key.

An older and a newer version of this software read each other's records during a deploy, under one rule: within one
schema number fields are only ever added, and optional. What a record holds beyond the fields known here travels in
`Session.extra` and is written back. A record of another schema number is no record for us; it is never deleted for it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.session import Session, SessionKey
from bff.session.store import Reading

SCHEMA: Final = 1
RECORD_LIMIT: Final = 64 * 1024  # bytes, sealed; the largest Okta tokens leave most of it free
PURPOSE: Final = "session-record"
_ENVELOPE: Final = 64  # bytes that sealing adds at most

_T = TypeVar("_T")


class RecordTooLarge(StoreUnavailable):
    """The session would need more than `RECORD_LIMIT` bytes: tokens or claims of an absurd size."""

    code = "record_too_large"
    status = 502
    title = "The identity provider sent more than a session can hold"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record ready to be stored. `write_id` names its content: the same write sent twice is known by it."""

    record: bytes
    write_id: str


def encode(ring: KeyRing, session: Session) -> Encoded:
    """Raises RecordTooLarge, and ValueError for what JSON cannot say (NaN)."""
    known = _to_json(session, session.extra)
    plaintext = json.dumps({"schema": SCHEMA} | known, separators=(",", ":"), allow_nan=False).encode()
    if len(plaintext) > RECORD_LIMIT - _ENVELOPE:
        raise RecordTooLarge(f"The session record would need {len(plaintext)} bytes, the limit is {RECORD_LIMIT}.")
    return Encoded(ring.seal(PURPOSE, plaintext, session.key.encode()), hashlib.sha256(plaintext).hexdigest()[:32])


def read(ring: KeyRing, key: SessionKey, version: int, record: bytes, now: float, last_seen_at: float) -> Reading:
    """The record as the port tells it: the session, or that there is none, or that its key is gone. Never raises."""
    if len(record) > RECORD_LIMIT:
        return Reading(now, None)
    match ring.open(PURPOSE, record, key.encode()):
        case Opened(plaintext, key_is_newest):
            session = _session(plaintext, key, version)
            return Reading(now, session, last_seen_at, older_key=session is not None and not key_is_newest)
        case Unreadable(why):
            return Reading(now, None, key_removed=why == "unknown_key")


def decode(ring: KeyRing, key: SessionKey, version: int, record: bytes) -> Session | None:
    """The session that was sealed under `key` as `version`; None for anything else, whatever it is. Never raises."""
    return read(ring, key, version, record, 0.0, 0.0).session


def _session(plaintext: bytes, key: SessionKey, version: int) -> Session | None:
    try:
        raw = json.loads(plaintext)
        if type(raw) is not dict or raw.pop("schema", None) != SCHEMA:
            return None
        session, extra = _from_json(Session, raw)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    if session.key != key or session.version != version:
        return None
    return replace(session, extra=extra) if extra else session


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    types: tuple[type, ...]
    nested: type[Any] | None
    required: bool


_known_fields: Final[dict[type[Any], tuple[_Field, ...]]] = {}


def _fields_of(kind: type[Any]) -> tuple[_Field, ...]:
    """Read off the dataclass itself, so that a field added to a word is stored without anyone remembering to."""
    if kind in _known_fields:
        return _known_fields[kind]
    hints = get_type_hints(kind)
    found = []
    for each in fields(kind):
        if each.name == "extra":
            continue
        parts = get_args(hints[each.name]) if isinstance(hints[each.name], UnionType) else (hints[each.name],)
        plain = tuple(getattr(get_origin(part) or part, "__supertype__", get_origin(part) or part) for part in parts)
        nested = next((part for part in plain if isinstance(part, type) and is_dataclass(part)), None)
        types = tuple(_JSON_TYPES.get(part, part) for part in plain)
        required = each.default is MISSING and each.default_factory is MISSING
        found.append(_Field(each.name, _flat(types), nested, required))
    return _known_fields.setdefault(kind, tuple(found))


_JSON_TYPES: Final[dict[Any, Any]] = {float: (float, int), Mapping: dict}


def _flat(types: tuple[Any, ...]) -> tuple[type, ...]:
    return tuple(one for each in types for one in (each if isinstance(each, tuple) else (each,)))


def _to_json(value: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for each in _fields_of(type(value)):
        content = getattr(value, each.name)
        if each.nested is not None and content is not None:
            # What a newer version kept inside a part goes back into that part, as long as the part exists.
            inner = extra.get(each.name, {})
            content = _to_json(content, inner if isinstance(inner, Mapping) else {})
        known[each.name] = content
    return {name: content for name, content in extra.items() if name not in known} | known


def _from_json(kind: type[_T], raw: dict[str, Any]) -> tuple[_T, dict[str, Any]]:
    """Takes the known fields out of `raw`; the rest is extra. Raises TypeError or LookupError for a foreign shape."""
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for each in _fields_of(kind):
        if each.name not in raw:
            if each.required:
                raise LookupError(each.name)
            continue
        content = raw.pop(each.name)
        if each.nested is not None and type(content) is dict:
            content, inner = _from_json(each.nested, content)
            if inner:
                extra[each.name] = inner
        elif type(content) not in each.types or (content is None and NoneType not in each.types):
            raise TypeError(each.name)
        known[each.name] = content
    return kind(**known), raw | extra
