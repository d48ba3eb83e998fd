"""Tombstones: who was signed out just now, so that a sign-in under way can't bring the session to life again.

A logout leaves the tombstone first and then ends what it finds; a sign-in stores its session first and then looks for
tombstones. Whichever comes second sees the other. All times are the store's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bff.session.session import Session
from bff.session.store import SessionStore

SLACK: Final = 600.0  # seconds that a tombstone outlasts the longest sign-in

# `sub without sid`: the sessions of a person that carry no `sid`, so that none can be told apart from the one ended.
MarkerKind: TypeAlias = Literal["sub", "sub without sid", "sid", "email", "everyone"]


@dataclass(frozen=True, slots=True)
class LogoutMarkers:
    """`login_lifetime` is how long a sign-in may be under way, in seconds."""

    store: SessionStore
    login_lifetime: float

    async def put(self, kind: MarkerKind, value: str, at: float) -> None:
        """Raises StoreUnavailable."""
        until = await self.store.now() + self.login_lifetime + SLACK
        await self.store.put_marker(_name(kind, value), at, until)

    async def covers(self, session: Session) -> bool:
        """Whether this session was signed out while its sign-in was under way. Raises StoreUnavailable.

        A person may sign in again after a logout, so only sign-ins that began before it are refused. A session of the
        provider that has ended (`sid`) does not come back, whenever the sign-in began.
        """
        if session.sid is not None and await self.store.get_marker(_name("sid", session.sid)) is not None:
            return True
        for name in _names(session):
            at = await self.store.get_marker(name)
            if at is not None and session.sign_in_began_by(at):
                return True
        return False


def _names(session: Session) -> Sequence[str]:
    names = [_name("sub", session.user.sub), _name("everyone", "")]
    if session.sid is None:
        names.append(_name("sub without sid", session.user.sub))
    return names if session.user.email is None else [*names, _name("email", session.user.email)]


def _name(kind: MarkerKind, value: str) -> str:
    """E-mail addresses are compared without case, as the index does."""
    return f"ended {kind} {value.casefold() if kind == 'email' else value}"
