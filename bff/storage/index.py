"""Index fields and stored names.

Personal values (sub, e-mail, sid, browser) are stored as keyed hashes only: written under the newest key of the ring,
looked up under all keys. Every stored name has a fixed alphabet and length.
"""

import hashlib
import re
from typing import Final, get_args

from bff.base64url import encode_base64url
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session
from bff.session.store import IndexName

INDEX_NAMES: Final[tuple[IndexName, ...]] = get_args(IndexName)
_SESSION_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def is_session_key(name: str) -> bool:
    """Whether `name` is a well-formed session key; nothing else is looked up."""
    return _SESSION_KEY.fullmatch(name) is not None


def end_reason_name(name: str) -> str:
    """The stored name of an end reason: a session key as it is, anything else hashed to the same shape."""
    if is_session_key(name):
        return name
    return encode_base64url(hashlib.sha256(b"end:" + _bytes(name)).digest())


def end_reason(text: str) -> EndReason | None:
    """An unknown reason, left by a newer version, counts as none."""
    try:
        return EndReason(text)
    except ValueError:
        return None


def claim_names(ring: KeyRing, name: str) -> tuple[str, ...]:
    """The stored names of a claim, in the same order for every ring.

    A name may contain an e-mail address, so it is hashed under the ring's keys. During a key rotation replicas share at
    least one key: a caller claims all names in this order and stops at the first that is taken, so only one caller
    wins.
    """
    return tuple(sorted(ring.index_hashes("claim", _text(name))))


def marker_names(ring: KeyRing, name: str) -> tuple[str, ...]:
    """The stored names of a marker: written and read under every key of the ring.

    Replicas one rotation step apart share a key, so each sees the other's markers.
    """
    return ring.index_hashes("marker", _text(name))


def value_name(name: str) -> str:
    """The stored name of a one-time value. Its own name is random, so a plain hash reveals nothing."""
    return encode_base64url(hashlib.sha256(b"value:" + _bytes(name)).digest())


def indexed_value(session: Session, index: IndexName) -> str | None:
    match index:
        case "sub":
            return session.user.sub
        case "email":
            return session.user.email
        case "sid":
            return session.sid
        case "browser":
            return session.browser
        case "id":
            return session.fingerprint


def hashes(ring: KeyRing, index: IndexName, value: str) -> tuple[str, ...]:
    """Newest key first: write under the first, look up under all. A fingerprint identifies no user: not hashed."""
    if index == "id":
        return (_text(value),)
    return ring.index_hashes(f"by-{index}", _text(_same(index, value)))


def entries(ring: KeyRing, session: Session) -> tuple[tuple[IndexName, str], ...]:
    """The index entries to write for a session."""
    values = ((index, indexed_value(session, index)) for index in INDEX_NAMES)
    return tuple((index, newest_hash(ring, index, value)) for index, value in values if value)


def keyed_entries(ring: KeyRing, session: Session) -> tuple[tuple[IndexName, str], ...]:
    """Those of `entries` that change with the newest key."""
    return tuple((index, hashed) for index, hashed in entries(ring, session) if index != "id")


def newest_hash(ring: KeyRing, index: IndexName, value: str) -> str:
    """The hash in the index entry to write for that value."""
    text = _text(_same(index, value))
    return text if index == "id" else ring.newest_index_hash(f"by-{index}", text)


def has_value(session: Session, index: IndexName, value: str) -> bool:
    """Whether the session still has that value: an index entry may be older than its record."""
    own = indexed_value(session, index)
    return own is not None and _same(index, own) == _same(index, value)


def _same(index: IndexName, value: str) -> str:
    return value.casefold() if index == "email" else value


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _text(value: str) -> str:
    """A lone surrogate, which JSON may contain, cannot be encoded as UTF-8; it must not fail a sign-in."""
    return value.encode("utf-8", "backslashreplace").decode()


def require_session_key(session: Session) -> None:
    """Raises ValueError for a key that no session id of ours has."""
    if not is_session_key(session.key):
        raise ValueError("a session's key is 43 characters of base64url")
