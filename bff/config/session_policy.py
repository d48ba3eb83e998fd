"""The durations that the decisions on a session depend on, taken from two sections of the settings."""

from collections.abc import Collection
from dataclasses import dataclass

from bff.config.refresh import RefreshSettings
from bff.config.session import SessionSettings
from bff.session.timing import CONFIRM_REFUSAL_AFTER


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Implements `bff.session.timing.RefreshPolicy`. It holds the sections and copies no value."""

    refresh: RefreshSettings
    session: SessionSettings

    @property
    def before_expiry(self) -> float:
        return self.refresh.before_expiry

    @property
    def timeout(self) -> float:
        return self.refresh.timeout

    @property
    def lease(self) -> float:
        return self.refresh.lease

    @property
    def grace(self) -> float:
        return self.refresh.grace

    @property
    def after_grace(self) -> bool:
        return self.refresh.after_grace

    @property
    def final_errors(self) -> Collection[str]:
        return self.refresh.final_errors

    @property
    def confirm_refusal_after(self) -> float:
        return CONFIRM_REFUSAL_AFTER

    @property
    def idle_timeout(self) -> float:
        return self.session.idle_timeout

    @property
    def max_session_lifetime(self) -> float:
        return self.session.max_lifetime
