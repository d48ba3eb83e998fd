"""Why an open stream is closed: the types shared by session watchers and stream owners."""

from dataclasses import dataclass
from typing import TypeAlias

from bff.session.session import EndReason


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`reason` is None where another replica ended it: `/auth/session` has the reason."""

    reason: EndReason | None = None


@dataclass(frozen=True, slots=True)
class AccessTokenExpired:
    """The session is alive; the client should reopen the stream, with a current token."""


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """This process is stopping; the client should reopen the stream at another replica or the next process."""


StreamEnd: TypeAlias = SessionEnded | AccessTokenExpired | ServerStopping
