"""Which session a request of forward authentication belongs to, and whether the access rules allow it."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from bff.config.server import ForwardAuthSettings
from bff.errors import InvalidRequest
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.session.session_view import SessionView
from bff.web.access import check_access
from bff.web.cookies import Header
from bff.web.request_authentication import RequestAuthentication


class ForwardAuthAccess:
    """`clock`: seconds since the epoch."""

    def __init__(
        self,
        flow: RefreshTokenFlow,
        authentication: RequestAuthentication,
        settings: ForwardAuthSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._flow, self._authentication, self._settings, self._clock = flow, authentication, settings, clock

    async def session(
        self, method: str, headers: Sequence[Header], named: Sequence[str], *, background: bool
    ) -> SessionView:
        """The session, with a valid access token. `named`: the sets of rules that the proxy names for this request.

        Raises CsrfRequired, SignInRequired, StepUpRequired, ForbiddenByRule, DeviceBindingPending, ProviderUnavailable,
        StoreUnavailable, and InvalidRequest for a name that the settings do not have: a misspelled one must not allow
        everyone.
        """
        if len(named) > 1:
            raise InvalidRequest("The proxy names more than one set of rules.")
        if not self._settings.named_rules.keys() >= set(named):
            raise InvalidRequest("The proxy names rules that BFF_FORWARD_AUTH_RULES does not have.")
        key = self._authentication.require(method, headers, "navigation").session_id.key
        check = partial(self._authentication.check_device, headers=headers)
        session = await self._flow.session_with_fresh_token(key, passive=background, check=check)
        if self._settings.access_rules is not None:
            check_access(self._settings.access_rules, session, self._clock(), place="/auth/verify")
        for name in named:
            place = f"/auth/verify?rules={name}"
            check_access(self._settings.named_rules[name], session, self._clock(), place=place)
        return session
