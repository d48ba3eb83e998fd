"""`GET /auth/landing?to=`: one step on our own site for whoever comes from another one.

A browser doesn't send the Strict session cookie when it follows a link of another site, nor at the end of the redirects
that come back from the provider. A page behind forward-auth would see nobody, and ask for a sign-in that has just been
made. So it sends the browser here; this page opens the same address again, now from our own site and with the cookie.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from bff.session.return_to import safe_return_to
from bff.web.auth.login import LoginRules, require_navigation
from bff.web.auth.same_site_step import same_site_step
from bff.web.request_body import parse_fields

LANDING: Final = "/auth/landing"


def landing_router(rules: LoginRules, forwarded: Callable[[bytes], bool]) -> APIRouter:
    """`forwarded` says whether a path is one of the data plane's: nobody is led into an API from outside."""
    router = APIRouter()

    def where(request: Request) -> str:
        to = parse_fields(request.scope["query_string"]).get("to")
        back = safe_return_to(
            to, fallback=rules.landing_path, public_url=rules.public_url, callback_path=rules.callback_path
        )
        return rules.landing_path if forwarded(urlsplit(back).path.encode("ascii")) else back

    @router.get(LANDING)
    async def landing(request: Request) -> Response:
        require_navigation(request.scope["headers"])
        return same_site_step(where(request))

    return router
