"""Whether a request of a bound session comes from the browser that has the key (DBSC).

| session | request | `offer` | `enforce` |
|---|---|---|---|
| no key, or never confirmed | any | accepted | accepted |
| bound | with its bound cookie | accepted | accepted |
| bound less than `UNDER_WAY` ago | without | accepted | accepted |
| bound | without, and the browser says that it skipped the renewal | accepted | 503 `device_binding_pending` |
| bound | without | accepted | 401, reason `device_binding_lost` |

No row ends the session: a browser that comes back with the cookie goes on. A route with `device_bound = "required"`
accepts the second row only.
"""

from collections.abc import Callable, Sequence
from typing import Final

from bff.config.device_bound import DeviceBoundMode
from bff.errors import DeviceBindingPending, DeviceBindingRequired, SignInRequired
from bff.flows.device_bindings import DeviceBindings
from bff.session.device_binding import Binding, binding_state
from bff.session.session import EndReason
from bff.session.session_view import SessionView
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent
from bff.telemetry.audit_limit import AuditLimit
from bff.web.bound_cookies import BoundCookie, BoundCookies
from bff.web.cookies import Header

SKIPPED: Final = b"secure-session-skipped"
# Why a browser skipped a renewal: the list of the draft.
_REASONS: Final = ("unreachable", "server_error", "quota_exceeded")
RETRY_AFTER: Final = 5  # seconds
QUOTA_RETRY_AFTER: Final = 60  # seconds; Chromium signs again after some minutes


class DeviceCheck:
    """One per application. `clock`: seconds since the epoch."""

    def __init__(
        self, cookies: BoundCookies, bindings: DeviceBindings, mode: DeviceBoundMode, clock: Callable[[], float]
    ) -> None:
        self.cookies, self._bindings, self._clock = cookies, bindings, clock
        self._enforces = mode == "enforce"
        self._audit_limit = AuditLimit()

    def is_bound(self, session: SessionView, headers: Sequence[Header]) -> bool:
        """Whether the request has the bound cookie of its session."""
        binding = session.device_binding
        if binding is None:
            return False
        cookie, now = self.cookies.read(headers), self._clock()
        if not isinstance(cookie, BoundCookie) or now >= cookie.expires_at:
            return False
        if cookie.session != session.key or cookie.thumbprint != binding.thumbprint:
            return False
        if binding.confirmed_at is None:
            self._bindings.confirm(session.key, now)
        return True

    def check(self, headers: Sequence[Header], session: SessionView) -> None:
        """Raises DeviceBindingPending, or SignInRequired with the reason `device_binding_lost`."""
        if session.device_binding is None or self.is_bound(session, headers):
            return
        if binding_state(session.device_binding, self._clock()) is not Binding.ESTABLISHED:
            return
        skipped = self._skipped(headers)
        outcome = "lapsed" if skipped is None else "skipped"
        metrics.DEVICE_BINDING.labels(outcome=outcome, reason=skipped or "").inc()
        self._record(session, skipped or "lapsed")
        if not self._enforces:
            return
        if skipped is None:
            raise SignInRequired(reason=EndReason.DEVICE_BINDING_LOST.value)
        raise DeviceBindingPending(retry_after=_retry_after(skipped))

    def _record(self, session: SessionView, reason: str) -> None:
        """A browser that has lost its key says so with every request."""
        if self._audit_limit.allows((session.key, reason), self._clock()):
            audit.record(AuditEvent.DEVICE_BINDING_MISSING, reason, session=session)

    def require(self, session: SessionView, headers: Sequence[Header]) -> None:
        """Raises DeviceBindingRequired for a request without the bound cookie, whatever the reason."""
        if self.is_bound(session, headers):
            return
        if (skipped := self._skipped(headers)) is not None and session.device_binding is not None:
            raise DeviceBindingRequired("retry", retry_after=_retry_after(skipped))
        if binding_state(session.device_binding, self._clock()) is Binding.NONE:
            raise DeviceBindingRequired("register")
        raise DeviceBindingRequired("sign_in")

    def _skipped(self, headers: Sequence[Header]) -> str | None:
        """Why the browser sent the request without the cookie, if it says so; one of a closed list."""
        for name, value in headers:
            if name == SKIPPED:
                token = value.partition(b";")[0].strip().decode("latin-1")
                return token if token in _REASONS else "other"
        # Another replica may still have the key, and the browser does not know that it has to renew the cookie.
        return "unknown_key" if self.cookies.read(headers) == "unknown_key" else None


def _retry_after(skipped: str) -> int:
    return QUOTA_RETRY_AFTER if skipped == "quota_exceeded" else RETRY_AFTER
