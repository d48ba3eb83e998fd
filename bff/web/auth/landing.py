"""`GET /auth/landing?to=`: one same-site navigation for browsers that arrive from another site.

A browser does not send the Strict session cookie on a navigation started by another site, nor after the redirects from
the provider. A page behind forward-auth would see no session and start the sign-in again. This page navigates to the
same address from our own site, with the cookie.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from bff.config.browser import BrowserSettings
from bff.errors import InvalidRequest, NavigationRequired
from bff.web.auth.login import require_navigation
from bff.web.auth.same_site_step import same_site_step
from bff.web.request_body import parse_fields
from bff.web.return_path import return_path
from bff.web.route_description import described, query

LANDING: Final = "/auth/landing"


def landing_router(browser: BrowserSettings, forwarded: Callable[[bytes], bool]) -> APIRouter:
    """`forwarded` says whether a path belongs to an API route: the landing page never navigates into an API."""
    router = APIRouter()

    def where(request: Request) -> str:
        to = parse_fields(request.scope["query_string"]).get("to")
        back = return_path(to, browser)
        return browser.landing_path if forwarded(urlsplit(back).path.encode("ascii")) else back

    summary, to = "Navigates to a page of this origin, from this origin", query("to", "A path of this origin.")
    errors = (NavigationRequired, InvalidRequest)

    @router.get(LANDING, **described(summary, media_type="text/html", parameters=[to], errors=errors))
    async def landing(request: Request) -> Response:
        require_navigation(request.scope["headers"])
        return same_site_step(where(request))

    return router
