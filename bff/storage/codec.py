"""The sealed record: a Session as JSON with a schema version, encrypted and bound to its key.

Older and newer versions of this software read each other's records during a deploy: within one schema number fields are
only added, and optional. Unknown fields are kept in `Session.extra` and written back. A record of another schema number
counts as missing, and is not deleted.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from bff.errors import StoreUnavailable
from bff.session.audience_tokens import without_oldest
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.session import Session, SessionKey
from bff.session.store import Found, IndexName, KeyRemoved, Missing, StoredSession
from bff.telemetry import metrics

SCHEMA: Final = 1
RECORD_LIMIT: Final = 64 * 1024  # bytes, sealed; the largest Okta tokens use a small part of it
PURPOSE: Final = "session-record"
_ENVELOPE: Final = 64  # bytes that sealing adds at most

_MISSING: Final = Missing(0.0)

_T = TypeVar("_T")


class RecordTooLarge(StoreUnavailable):
    """The session would need more than `RECORD_LIMIT` bytes: unusually large tokens or claims."""

    code = "record_too_large"
    title = "The identity provider sent more than a session can hold"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record ready to be stored. `write_id` identifies its content, so that a repeated write is recognised."""

    record: bytes
    write_id: str


def encode(ring: KeyRing, session: Session) -> Encoded:
    """Raises RecordTooLarge, and ValueError for values that JSON cannot represent (NaN).

    Tokens by audience are requested again when they are needed, so they give way to everything else.
    """
    plaintext = _plaintext(session)
    while len(plaintext) > RECORD_LIMIT - _ENVELOPE and session.audience_tokens:
        session = without_oldest(session)
        plaintext = _plaintext(session)
        metrics.API_TOKENS_DROPPED.inc()
    if len(plaintext) > RECORD_LIMIT - _ENVELOPE:
        raise RecordTooLarge(f"The session record would need {len(plaintext)} bytes, the limit is {RECORD_LIMIT}.")
    return Encoded(ring.seal(PURPOSE, plaintext, session.key.encode()), hashlib.sha256(plaintext).hexdigest()[:32])


def _plaintext(session: Session) -> bytes:
    known = _to_json(session, session.extra)
    return json.dumps({"schema": SCHEMA} | known, separators=(",", ":"), allow_nan=False).encode()


def read(ring: KeyRing, key: SessionKey, version: int, record: bytes, now: float, last_seen_at: float) -> StoredSession:
    """The record as the port returns it. Never raises."""
    if len(record) > RECORD_LIMIT:
        return Missing(now)
    match ring.open(PURPOSE, record, key.encode()):
        case Opened(plaintext, key_is_newest):
            session = _session(plaintext, key, version)
            return Missing(now) if session is None else Found(now, session, last_seen_at, not key_is_newest)
        case Unreadable("unknown_key"):
            return KeyRemoved(now)
        case Unreadable():
            return Missing(now)


def read_indexed(
    ring: KeyRing, key: SessionKey, version: int, record: bytes
) -> list[tuple[IndexName, str]] | KeyRemoved | Missing:
    """The values under which a record is indexed with keyed hashes. A third of the cost of `read`. Never raises."""
    match ring.open(PURPOSE, record, key.encode()):
        case Opened(plaintext):
            try:
                raw = json.loads(plaintext)
                if (raw["schema"], raw["key"], raw["version"]) != (SCHEMA, key, version):
                    return _MISSING
                user = raw["user"]
                values: tuple[tuple[IndexName, Any], ...] = (
                    ("sub", user["sub"]),
                    ("email", user.get("email")),
                    ("sid", raw.get("sid")),
                    ("browser", raw.get("browser")),
                )
                return [(name, value) for name, value in values if value and isinstance(value, str)]
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                return _MISSING
        case Unreadable("unknown_key"):
            return KeyRemoved(0.0)
        case Unreadable():
            return _MISSING


def reseal(ring: KeyRing, key: SessionKey, record: bytes) -> bytes | None:
    """The same content, byte by byte, sealed under the newest key; None if no key opens it. Raises KeyExhausted."""
    opened = ring.open(PURPOSE, record, key.encode())
    return ring.seal(PURPOSE, opened.plaintext, key.encode()) if isinstance(opened, Opened) else None


def decode(ring: KeyRing, key: SessionKey, version: int, record: bytes) -> Session | None:
    """The session that was sealed under `key` as `version`; None for anything else. Never raises."""
    stored = read(ring, key, version, record, 0.0, 0.0)
    return stored.session if isinstance(stored, Found) else None


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


def _fields_of(record_type: type[Any]) -> tuple[_Field, ...]:
    """Derived from the dataclass itself, so that a new field is stored automatically."""
    if record_type in _known_fields:
        return _known_fields[record_type]
    hints = get_type_hints(record_type)
    known = []
    for declared in fields(record_type):
        if declared.name == "extra":
            continue
        parts = (
            get_args(hints[declared.name]) if isinstance(hints[declared.name], UnionType) else (hints[declared.name],)
        )
        plain = tuple(getattr(get_origin(part) or part, "__supertype__", get_origin(part) or part) for part in parts)
        nested = next((part for part in plain if isinstance(part, type) and is_dataclass(part)), None)
        types = tuple(_JSON_TYPES.get(part, part) for part in plain)
        required = declared.default is MISSING and declared.default_factory is MISSING
        known.append(_Field(declared.name, _flat(types), nested, required))
    return _known_fields.setdefault(record_type, tuple(known))


_JSON_TYPES: Final[dict[Any, Any]] = {float: (float, int), Mapping: dict, Sequence: list}


def _flat(types: tuple[Any, ...]) -> tuple[type, ...]:
    return tuple(type_ for entry in types for type_ in (entry if isinstance(entry, tuple) else (entry,)))


def _to_json(value: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for field_ in _fields_of(type(value)):
        content = getattr(value, field_.name)
        if field_.nested is not None and content is not None:
            # Unknown fields of a nested object are written back as long as the object exists.
            inner = extra.get(field_.name, {})
            content = _to_json(content, inner if isinstance(inner, Mapping) else {})
        known[field_.name] = content
    return {name: content for name, content in extra.items() if name not in known} | known


def _from_json(record_type: type[_T], raw: dict[str, Any]) -> tuple[_T, dict[str, Any]]:
    """Takes the known fields from `raw`; the rest is extra. Raises TypeError or LookupError for an invalid shape."""
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for field_ in _fields_of(record_type):
        if field_.name not in raw:
            if field_.required:
                raise LookupError(field_.name)
            continue
        content = raw.pop(field_.name)
        if field_.nested is not None and type(content) is dict:
            content, inner = _from_json(field_.nested, content)
            if inner:
                extra[field_.name] = inner
        elif type(content) not in field_.types or (content is None and NoneType not in field_.types):
            raise TypeError(field_.name)
        known[field_.name] = content
    return record_type(**known), raw | extra
