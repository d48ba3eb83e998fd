"""Logout markers: which users were signed out recently, so that a sign-in in progress cannot create a session after the
sign-out. A logout writes its marker first and then ends the sessions it finds; a sign-in stores its session first and
then reads the markers. Whichever comes second sees the other. All times are the store's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bff.session.session import Session
from bff.session.store import SessionStore

SLACK: Final = 600.0  # seconds that a logout marker outlasts the longest sign-in

# `sub without sid`: the user's sessions without a `sid`, which cannot be distinguished from the ended one.
MarkerKind: TypeAlias = Literal["sub", "sub without sid", "sid", "email", "everyone"]


@dataclass(frozen=True, slots=True)
class LogoutMarkers:
    """`login_lifetime` is the maximum duration of a sign-in, in seconds."""

    store: SessionStore
    login_lifetime: float

    async def put(self, marker_kind: MarkerKind, value: str, at: float) -> None:
        """Raises StoreUnavailable."""
        until = await self.store.now() + self.login_lifetime + SLACK
        await self.store.put_marker(_name(marker_kind, value), at, until)

    async def covers(self, session: Session) -> bool:
        """Whether this session's user was signed out during its sign-in.

        Raises StoreUnavailable. A user may sign in again after a logout, so only sign-ins that started before it are
        refused. An ended provider session (`sid`) stays ended, whenever the sign-in started.
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


def _name(marker_kind: MarkerKind, value: str) -> str:
    """E-mail addresses are compared case-insensitively, as in the index."""
    return f"ended {marker_kind} {value.casefold() if marker_kind == 'email' else value}"
