"""By what a session is found again, and under which names things are kept.

Values that say who somebody is (sub, e-mail, sid, browser) are kept as keyed hashes only: written under the newest key
of the ring, looked up under all of them. Every name that reaches a store has a fixed alphabet and length.
"""

import hashlib
import re
from typing import Final, get_args

from bff.session.keyring import KeyRing, encode_base64url
from bff.session.session import EndReason, Session
from bff.session.store import IndexName

INDEX_NAMES: Final[tuple[IndexName, ...]] = get_args(IndexName)
_SESSION_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def is_session_key(name: str) -> bool:
    """Whether `name` can be the key of a session at all: nothing else is ever looked up."""
    return _SESSION_KEY.fullmatch(name) is not None


def end_marker_name(name: str) -> str:
    """The stored name of an end marker: a session's key as it is, anything else as a hash of the same shape."""
    if is_session_key(name):
        return name
    return encode_base64url(hashlib.sha256(b"end:" + _bytes(name)).digest())


def end_reason(text: str) -> EndReason | None:
    """A reason that a newer version left, and that is unknown here, is no reason."""
    try:
        return EndReason(text)
    except ValueError:
        return None


def claim_names(ring: KeyRing, name: str) -> tuple[str, ...]:
    """The stored names of a claim, in one order for every ring.

    A name may hold an e-mail address, so it is hashed under the ring's keys. While keys are rolled, replicas share at
    least one key: who claims all names in this order, and stops at the first that is taken, wins once among them all.
    """
    return tuple(sorted(ring.index_hashes("claim", _text(name))))


def marker_names(ring: KeyRing, name: str) -> tuple[str, ...]:
    """The stored names of a tombstone: written and read under every key of the ring.

    Replicas one step of a roll apart share a key, so neither misses what the other has left.
    """
    return ring.index_hashes("mark", _text(name))


def value_name(name: str) -> str:
    """The stored name of a value that is taken once. Its own name is random, so a plain hash tells nothing."""
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


def hashes(ring: KeyRing, index: IndexName, value: str) -> tuple[str, ...]:
    """Newest key first: write under the first, look up under all."""
    return ring.index_hashes(f"by-{index}", _text(_same(index, value)))


def entries(ring: KeyRing, session: Session) -> tuple[tuple[IndexName, str], ...]:
    """The index entries to write for a session."""
    values = ((index, indexed_value(session, index)) for index in INDEX_NAMES)
    return tuple((index, hashes(ring, index, value)[0]) for index, value in values if value)


def has_value(session: Session, index: IndexName, value: str) -> bool:
    """Whether the session really carries that value: an index entry may be older than the record it points to."""
    own = indexed_value(session, index)
    return own is not None and _same(index, own) == _same(index, value)


def _same(index: IndexName, value: str) -> str:
    return value.casefold() if index == "email" else value


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _text(value: str) -> str:
    """A lone surrogate, which JSON may carry, has no UTF-8; it must not become an error at sign-in."""
    return value.encode("utf-8", "backslashreplace").decode()
