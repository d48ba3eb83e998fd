"""Whether a request comes from our own page, and which session it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from bff.web.cookies import Header
from bff.web.origin_policy import CsrfRule, OriginPolicy
from bff.web.session_cookies import SessionCookies, SignedIn


@dataclass(frozen=True, slots=True)
class RequestAuthentication:
    """The two halves of authenticating a browser's request: a cookie alone proves nothing about who sent it."""

    origins: OriginPolicy
    cookies: SessionCookies

    def require(self, method: str, headers: Sequence[Header], rule: CsrfRule = "header") -> SignedIn:
        """The session id of a request of our own page.

        Raises CsrfRequired, SignInRequired, or InvalidRequest for a duplicate cookie.
        """
        self.origins.check_csrf(method, headers, rule)
        return self.cookies.require(headers)
