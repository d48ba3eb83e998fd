"""Whether the provider gives the refresh tokens that sign-ins ask for: without one a session ends with its access
token.
"""

import logging
from collections.abc import Collection

from bff.session.session import Session
from bff.telemetry import metrics

logger = logging.getLogger(__name__)


class OfflineAccess:
    """One per application. `granted`: whether the last sign-in brought a refresh token, as far as one was to be
    expected; None before the first.
    """

    def __init__(self, scopes: Collection[str]) -> None:
        """`scopes` are those that sign-ins request."""
        self._requested = "offline_access" in scopes
        self.granted: bool | None = None

    def record(self, session: Session) -> None:
        """Records a new session. The log has one line for the first of several without a refresh token."""
        if session.tokens.refresh_token is not None:
            self.granted = True
        elif self._requested:
            metrics.SIGN_INS_WITHOUT_REFRESH_TOKEN.inc()
            if self.granted is not False:
                fields = {
                    "session": session.fingerprint,
                    "scope_granted": "offline_access" in session.tokens.scope.split(),
                }
                logger.warning("offline_access was requested, and the provider gave no refresh token", extra=fields)
            self.granted = False
