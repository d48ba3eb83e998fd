"""Who gets through forward authentication; tests of the endpoint are in test_forward_auth.py."""

import json
from pathlib import Path

import pytest

from bff.errors import BffError, CsrfRequired, ForbiddenByRule, InvalidRequest
from bff.web.auth.forward_auth_access import ForwardAuthAccess
from bff.web.cookies import CookieNames
from bff.web.origin_policy import OriginPolicy
from bff.web.request_authentication import RequestAuthentication
from bff.web.session_cookies import SessionCookies
from tests.harness.asgi_call import fields
from tests.harness.web_parts import PUBLIC_URL, web_parts


@pytest.mark.parametrize(
    ("method", "named", "later", "error"),
    [
        ("GET", [], 0, None),
        ("GET", ["recent"], 0, None),
        ("GET", ["recent"], 61, ForbiddenByRule),
        ("GET", ["unknown"], 0, InvalidRequest),
        ("GET", ["recent", "recent"], 0, InvalidRequest),
        ("POST", ["recent"], 0, CsrfRequired),
    ],
)
async def test_a_session_is_returned_only_if_every_check_passes(
    tmp_path: Path, method: str, named: list[str], later: int, error: type[BffError] | None
) -> None:
    rules = json.dumps([{"name": "recent", "allow": [{"max_auth_age": 60}]}])
    async with web_parts(tmp_path, forward_auth_rules=rules) as parts:
        browser = parts.browser()
        await browser.sign_in()
        cookies = SessionCookies(parts.stores.ring, CookieNames())
        authentication = RequestAuthentication(OriginPolicy(PUBLIC_URL), cookies)
        refresh, settings = parts.flows.sessions.refresh, parts.settings.forward_auth
        access = ForwardAuthAccess(refresh, authentication, settings, clock=parts.clock)
        cookie = f"cookie: __Host-Http-session={browser.cookies['__Host-Http-session']}"
        headers = fields([cookie, "sec-fetch-site: none", "sec-fetch-mode: navigate"])
        parts.clock.now += later
        if error is None:
            assert (await access.session(method, headers, named, background=False)).user.sub == "00u1"
        else:
            with pytest.raises(error):
                await access.session(method, headers, named, background=False)
