"""The queue of tokens to be revoked at the provider (RFC 7009). Times are in seconds.

When a session ends, its tokens stay valid at the provider until they are revoked there. The queue outlasts the process:
it is kept in the store, sealed, shared by all replicas, and bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bff.oidc.token import TokenTypeHint

WAITING_LIMIT: Final = 50_000  # revocations in the queue; some 100 MB at the size of Okta's tokens
ATTEMPTS_LIMIT: Final = 30
MAX_WAIT: Final = 3600.0  # between two attempts
FIRST_WAIT: Final = 5.0
TURN: Final = 0.25  # seconds between the due times of two tokens of one user that are queued together
KEPT_FOR: Final = 86_400.0  # after that a refresh token is not tried any more, whatever its lifetime


@dataclass(frozen=True, slots=True)
class Revocation:
    """One token to be revoked at its issuer. After `until` it is not tried any more.

    `attempts` counts the attempts begun, including the one it was claimed for. `session` is a fingerprint, for logs.
    `turn` is its position among the tokens of one user that are queued together: so many times `TURN` later it is due,
    which puts it behind those of other users. It is not stored.
    """

    id: str
    token: str = field(repr=False)
    hint: TokenTypeHint
    issuer: str
    session: str
    until: float
    attempts: int = 0
    turn: int = 0


def backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait after that many attempts, and at least the provider's Retry-After."""
    pause = min(FIRST_WAIT * 2.0 ** max(0, attempts - 1), MAX_WAIT)
    return pause if retry_after is None else max(pause, retry_after)


class RevocationQueue(Protocol):
    """Every method raises StoreUnavailable, and may be repeated after an unknown outcome."""

    async def add(self, *revocations: Revocation) -> int:
        """Adds them, in this order, durably and in one operation.

        Returns how many were added: fewer than all when `WAITING_LIMIT` are waiting then.
        """
        ...

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        """At most `count`: those that are due, the longest due first, and then those that were never attempted.

        A token that was never attempted is claimed before its time when nothing else is to do: its due time only puts
        the users in an order ("Virtual Clock" scheduling), so that ten thousand tokens of one user delay no other's.
        No other caller gets them for `lease` seconds, within which the caller finishes or postpones them.
        """
        ...

    async def finish(self, revocation_id: str) -> None:
        """Removes it: it was revoked, or no further attempt is useful."""
        ...

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        """Makes it due again in that many seconds."""
        ...

    async def waiting(self) -> int:
        """The length of the queue, including those that are claimed."""
        ...
