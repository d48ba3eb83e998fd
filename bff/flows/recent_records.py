"""Records as the store returned them within the last seconds, for the time in which it cannot be reached.

Off unless BFF_STORE_OUTAGE_GRACE is set (docs/decisions/0024-answers-while-the-store-is-unreachable.md). A record is
used only while the store gives no reply, never instead of one. What this process ends, or tries to end, is forgotten
first.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bff.errors import StoreUnavailable
from bff.session.outage import usable_in_outage
from bff.session.session import SessionKey
from bff.session.session_view import SessionView
from bff.session.store import Found, StoredSession, Viewed
from bff.session.timing import RefreshPolicy
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

SESSIONS_KEPT: Final = 10_000  # most of their memory is shared with the cache of decrypted records
LOG_INTERVAL: Final = 60.0  # seconds between two log lines about one outage


@dataclass(frozen=True, slots=True)
class _Read:
    stored: Viewed
    asked_at: float


class RecentRecords:
    """One per application."""

    def __init__(
        self,
        grace: float,
        policy: RefreshPolicy,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        limit: int = SESSIONS_KEPT,
    ) -> None:
        """`grace`: seconds for which a record may be used after it was read. `limit`: sessions kept at most."""
        self._grace, self._policy, self._monotonic, self._limit = grace, policy, monotonic, limit
        self._reads: dict[SessionKey, _Read] = {}  # oldest first
        self._last_end = self._last_log = -math.inf

    def record(self, key: SessionKey, stored: StoredSession, asked_at: float) -> None:
        """Keeps what the store returned to a read that began at `asked_at`."""
        reads = self._reads
        reads.pop(key, None)
        # A read that began before this process ended a session may have read before that end: it is not kept.
        if isinstance(stored, Found) and asked_at > self._last_end:
            reads[key] = _Read(Viewed(stored.now, stored.view, stored.last_seen_at), asked_at)
        oldest_allowed = self._monotonic() - self._grace
        while reads:
            oldest = next(iter(reads))
            if len(reads) <= self._limit and reads[oldest].asked_at >= oldest_allowed:
                break
            del reads[oldest]

    def session(self, key: SessionKey, error: StoreUnavailable) -> tuple[SessionView, float] | None:
        """The session to use although the store failed with `error`, and the store's time now; None if there is none,
        or if the store replied.
        """
        read = self._reads.get(key)
        if read is None or not error.unreachable:
            return None
        now = self._monotonic()
        session = usable_in_outage(read.stored, now - read.asked_at, self._grace, self._policy)
        if session is not None:
            metrics.STORE_OUTAGE_ANSWERS.inc()
            if now >= self._last_log + LOG_INTERVAL:
                self._last_log = now
                logger.warning(
                    "the session store is unreachable: requests are answered from records read before",
                    extra={"grace": self._grace},
                )
        return None if session is None else (session, read.stored.now + now - read.asked_at)

    def forget(self, key: SessionKey) -> None:
        """For a session that ends, before the store is asked to end it."""
        self._last_end = self._monotonic()
        self._reads.pop(key, None)

    def forget_provider_session(self, sid: str) -> None:
        """As `forget`, for the sessions of a provider session; reads every record that is kept."""
        for key in [key for key, read in self._reads.items() if read.stored.view.sid == sid]:
            self.forget(key)

    def forget_all(self) -> None:
        """For the end of sessions that this process cannot name, and for a change of the keys."""
        self._last_end = self._monotonic()
        self._reads.clear()
