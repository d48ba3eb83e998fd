"""What a security event requires of a session before its next request: new tokens, or a new authentication.

Pure; times are seconds since the epoch. A requirement that later tokens or a later authentication have met already is
none, so an event that arrives late or twice changes nothing.
"""

from dataclasses import replace

from bff.session.session import Session


def require_renewal(session: Session, at: float, now: float) -> Session | None:
    """The record whose access token is not used any more, because of an event at `at`; None if nothing changes.

    Without a refresh token there is nothing to renew, and the session goes on: a renewal must not end it.
    """
    tokens = session.tokens
    if tokens.refresh_token is None or tokens.received_at > at or tokens.usable_until <= now:
        return None
    due = replace(tokens, usable_until=now, refresh_at=min(tokens.refresh_at, now))
    return replace(session, version=session.version + 1, tokens=due)


def require_step_up(session: Session, at: float) -> Session | None:
    """The record that needs an authentication later than `at`; None if nothing changes."""
    if session.auth_time is not None and session.auth_time > at:
        return None
    if session.step_up_required_at is not None and session.step_up_required_at >= at:
        return None
    return replace(session, version=session.version + 1, step_up_required_at=at)
