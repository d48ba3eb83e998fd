"""A refresh policy with values of a test's choice, beyond those that the settings allow."""

from dataclasses import dataclass

from bff.session.timing import CONFIRM_REFUSAL_AFTER, MAX_LIFETIME


@dataclass(frozen=True, slots=True)
class Policy:
    """Implements `bff.session.timing.RefreshPolicy`; the defaults are those of the settings."""

    before_expiry: float = 60.0
    timeout: float = 8.0
    lease: float = 10.0
    grace: float = 30.0
    after_grace: bool = True
    final_errors: tuple[str, ...] = ("invalid_grant",)
    confirm_refusal_after: float = CONFIRM_REFUSAL_AFTER
    idle_timeout: float = 3600.0
    max_session_lifetime: float = MAX_LIFETIME
