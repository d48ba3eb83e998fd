"""Whether a request comes from our own page, and which session it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from bff.session.session_view import SessionView
from bff.web.cookies import Absent, Header, read_cookies
from bff.web.device_check import DeviceCheck
from bff.web.origin_policy import CsrfRule, OriginPolicy
from bff.web.session_cookies import SessionCookies, SignedIn


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    """The parts of authenticating a browser's request: a cookie alone proves nothing about who sent it.

    `device` is None if sessions are not bound to keys of browsers.
    """

    origins: OriginPolicy
    cookies: SessionCookies
    device: DeviceCheck | None = None

    def require(self, method: str, headers: Sequence[Header], rule: CsrfRule = "header") -> SignedIn:
        """The session id of a request of our own page.

        Raises CsrfRequired, SignInRequired, or InvalidRequest for a duplicate cookie.
        """
        self.origins.check_csrf(method, headers, rule)
        return self.cookies.require(headers)

    def check_device(self, session: SessionView, headers: Sequence[Header]) -> None:
        """Raises DeviceBindingPending, or SignInRequired, for a bound session without its bound cookie."""
        if self.device is not None and session.device_binding is not None:
            self.device.check(headers, session)

    def is_device_bound(self, session: SessionView, headers: Sequence[Header]) -> bool:
        return self.device is not None and self.device.is_bound(session, headers)

    def clear(self, headers: Sequence[Header]) -> list[Header]:
        """The Set-Cookie headers that delete the session cookie, and the bound cookie if the request has one."""
        names = self.cookies.names
        bound = [] if isinstance(read_cookies(headers, names.bound), Absent) else [names.clear_bound()]
        return [self.cookies.clear(), *bound]
