"""Why an open stream is cut short: the word between those who watch sessions and those who hold streams."""

from dataclasses import dataclass
from typing import TypeAlias

from bff.session.session import EndReason


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`reason` is None where another replica ended it: `/auth/session` knows."""

    reason: EndReason | None = None


@dataclass(frozen=True, slots=True)
class AccessTokenExpired:
    """The session lives; the stream is to be opened again, with the token of then."""


@dataclass(frozen=True, slots=True)
class ServerStopping:
    """This process ends; the stream is to be opened again, and reaches another replica or the next process."""


StreamEnd: TypeAlias = SessionEnded | AccessTokenExpired | ServerStopping
