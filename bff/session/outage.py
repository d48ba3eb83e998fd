"""Whether a record that was read before may be used while the store cannot be reached. Pure; times are in seconds."""

from bff.session.session_view import SessionView
from bff.session.store import Viewed
from bff.session.timing import RefreshPolicy, limit_reached


def usable_in_outage(stored: Viewed, age: float, grace: float, policy: RefreshPolicy) -> SessionView | None:
    """The session of a record that was requested `age` seconds ago, if it may be used without asking the store again.

    Only its access token is used, so it must be valid. The age counts from before the store was asked: the store's
    clock, as estimated here, is never behind, and no limit is reached later than it would be.
    """
    session, now = stored.view, stored.now + age
    if age > grace or now >= session.tokens.usable_until:
        return None
    return session if limit_reached(session, now, policy, stored.last_seen_at) is None else None
