"""A record in memory between two requests: what requests use of a session, as small as it can be without slowing them.

The access token and the times that every request compares are fields. Everything about the user and their sign-in is
packed into one bytes object, and unpacked when something asks for it: access rules, identity headers, assertions. The
other tokens are not here at all: the store is read for every request, and the record that it returns has them.
"""

import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from bff.session.session import Session, SessionFacts, SessionKey, User

# Bytes of memory, as measured.
_ENTRY: Final = 640  # with its place in the cache, and without what `memory_of` adds
_ATTEMPT: Final = 500
_DEVICE: Final = 1200
_UNPACKED: Final = 1200
_EXPANSION: Final = 5  # of packed bytes that are unpacked


class OpenedTokens:
    """Implements `bff.session.session_view.TokensView`."""

    __slots__ = ("access_token", "received_at", "refresh_at", "refreshable", "scope", "usable_until")

    def __init__(self, session: Session, signed_in_at: float) -> None:
        tokens = session.tokens
        self.access_token, self.refreshable = tokens.access_token, tokens.refreshable
        self.usable_until, self.refresh_at = tokens.usable_until, tokens.refresh_at
        self.received_at, self.scope = tokens.received_at, sys.intern(tokens.scope)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is packed, in this order."""

    rotation: int
    signed_in_at: float
    user: User
    sid: str | None
    browser: str | None
    auth_time: float | None
    acr: str | None
    amr: Sequence[str] | None
    withdrawn_claims: Sequence[str] | None
    provider_session: str | None
    resources: Sequence[str] | None


class RecentlyUnpacked:
    """The records whose packed part is in memory unpacked as well: those that were unpacked last."""

    def __init__(self, limit: int) -> None:
        """At most `limit` bytes of memory, but always the last one."""
        self._limit, self._size = limit, 0
        self._records: deque[tuple[OpenedRecord, int]] = deque()

    def add(self, record: "OpenedRecord", size: int) -> None:
        self._records.append((record, size))
        self._size += size
        while self._size > self._limit and len(self._records) > 1:
            oldest, removed = self._records.popleft()
            oldest.pack()
            self._size -= removed


class OpenedRecord(SessionFacts):
    """Implements `bff.session.session_view.SessionView`. `tag` and `keys` say which record it is of, under which keys.

    `tag`: the authentication tag at the end of the sealed record, 16 bytes.
    """

    __slots__ = (
        "_facts",
        "_names",
        "_packed",
        "_recent",
        "attempt",
        "audience_tokens",
        "client_id",
        "concurrent_successor",
        "device_binding",
        "dpop_key",
        "ends_at",
        "issuer",
        "key",
        "keys",
        "older_key",
        "rejected_token",
        "step_up_required_at",
        "tag",
        "tokens",
        "version",
    )

    def __init__(self, key: SessionKey, session: Session, tag: bytes, keys: object, recent: RecentlyUnpacked) -> None:
        """`key` is the object by which the cache finds this, so that there is one of it."""
        self.key, self.version, self.tag, self.keys, self._recent = key, session.version, tag, keys, recent
        self.older_key = False
        # The same for all sessions: one object each.
        self.issuer, self.client_id = sys.intern(session.issuer), sys.intern(session.client_id)
        self.tokens, self.ends_at = OpenedTokens(session, session.signed_in_at), session.ends_at
        # Seldom there, or asked for by each request of a route that needs it.
        self.attempt, self.concurrent_successor = session.attempt, session.concurrent_successor
        self.rejected_token, self.step_up_required_at = session.rejected_token, session.step_up_required_at
        self.device_binding, self.dpop_key = session.device_binding, session.dpop_key
        self.audience_tokens = session.audience_tokens
        self._names = _shared(tuple(session.user.claims))
        self._packed = _pack(session)
        self._facts: _Facts | None = None

    def __repr__(self) -> str:
        return f"<opened record {self.fingerprint}, version {self.version}>"

    @property
    def rotation(self) -> int:
        return (self._facts or self._unpack()).rotation

    @property
    def user(self) -> User:
        return (self._facts or self._unpack()).user

    @property
    def signed_in_at(self) -> float:
        return (self._facts or self._unpack()).signed_in_at

    @property
    def sid(self) -> str | None:
        return (self._facts or self._unpack()).sid

    @property
    def browser(self) -> str | None:
        return (self._facts or self._unpack()).browser

    @property
    def auth_time(self) -> float | None:
        return (self._facts or self._unpack()).auth_time

    @property
    def acr(self) -> str | None:
        return (self._facts or self._unpack()).acr

    @property
    def amr(self) -> Sequence[str] | None:
        return (self._facts or self._unpack()).amr

    @property
    def withdrawn_claims(self) -> Sequence[str] | None:
        return (self._facts or self._unpack()).withdrawn_claims

    @property
    def provider_session(self) -> str | None:
        return (self._facts or self._unpack()).provider_session

    @property
    def resources(self) -> Sequence[str] | None:
        return (self._facts or self._unpack()).resources

    def pack(self) -> None:
        """Frees what was unpacked."""
        self._facts = None

    def _unpack(self) -> _Facts:
        rotation, signed_in_at, sub, email, claims, *rest = json.loads(self._packed)
        named = dict(zip(self._names, claims, strict=True))
        user = User(named["sub"] if sub is True else sub, named["email"] if email is True else email, named)
        self._facts = facts = _Facts(rotation, signed_in_at, user, *rest)
        self._recent.add(self, _UNPACKED + _EXPANSION * len(self._packed) + len(self.tokens.access_token))
        return facts

    def memory(self) -> int:
        """About how many bytes it takes, with what refers to it, and without what was unpacked."""
        size = _ENTRY + sys.getsizeof(self.tokens.access_token) + len(self._packed)
        size += 0 if self.dpop_key is None else sys.getsizeof(self.dpop_key)
        size += 0 if self.device_binding is None else _DEVICE
        size += 0 if self.attempt is None else _ATTEMPT
        size += 0 if self.concurrent_successor is None else _ATTEMPT + len(self.concurrent_successor.refresh_token)
        return size + (0 if self.audience_tokens is None else _size(self.audience_tokens))


def _pack(session: Session) -> bytes:
    user = session.user
    claims = user.claims
    packed = (
        session.rotation,
        session.signed_in_at,
        True if user.sub == claims.get("sub") else user.sub,
        True if user.email is not None and user.email == claims.get("email") else user.email,
        list(claims.values()),
        session.sid,
        session.browser,
        session.auth_time,
        session.acr,
        session.amr,
        session.withdrawn_claims,
        session.provider_session,
        session.resources,
    )
    # As json.loads decodes it: a provider may state a lone surrogate.
    return json.dumps(packed, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


@lru_cache(maxsize=256)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for equal names: nearly all sessions of an application have the same claims."""
    return names


def _size(value: Any) -> int:
    size = sys.getsizeof(value)
    match value:
        case Mapping():
            return size + sum(map(_size, value.values()))
        case list():
            return size + sum(map(_size, value))
        case _:
            return size
