"""`GET /auth/logout`: a page with a sign-out button, for a link, a bookmark, or a user without scripts.

Its form posts to the same address. The page reads no session: a link from another site carries no Strict cookie, so a
page that looked for one would show a signed-in user that there is nothing to sign out of.
"""

from html import escape
from typing import Final

from fastapi import APIRouter, Request, Response

from bff.errors import CsrfRequired, InvalidRequest, MethodNotAllowed, NavigationRequired, StoreUnavailable
from bff.web.auth.logout import AT_PROVIDER, CLEAR_SITE_DATA, LogoutEndpoint
from bff.web.auth.same_site_step import same_site_step
from bff.web.error_responder import wants_page
from bff.web.page_layout import PageLayout
from bff.web.request_body import FORM, media_type, read_form_fields
from bff.web.responses import raw_response, see_other
from bff.web.route_description import CSRF_HEADER, described, query, schema

_FORM_LIMIT: Final = 1024  # bytes
_CONTENT: Final = """<p>You will be signed out of this application in this browser, and at the identity provider.</p>
<form method="post" action="/auth/logout"><button>Sign out</button></form>
<ul class="links">
<li><a href="{landing_path}">Stay signed in</a></li>
</ul>"""


class SignOutForm:
    def __init__(self, endpoint: LogoutEndpoint, stylesheet: str | None = None) -> None:
        """`stylesheet` follows the built-in one of our pages."""
        self._endpoint, self._browser = endpoint, endpoint.browser
        layout = PageLayout(stylesheet)
        self._page = layout.render("Sign out?", _CONTENT.format(landing_path=escape(self._browser.landing_path)))
        self._headers = [
            (b"content-length", str(len(self._page)).encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"cross-origin-resource-policy", b"same-origin"),
            *layout.headers(own_forms=True),
        ]

    def show(self, request: Request) -> Response:
        """The page with the button. Raises MethodNotAllowed for a fetch, which has no use for a page."""
        if not wants_page(request.scope["headers"]):
            raise MethodNotAllowed(allow=("POST",))
        return raw_response(200, self._headers, self._page)

    async def submit(self, request: Request) -> Response:
        """Signs out here, then navigates to the provider, or to `signed_out_path` if there is no session at it.

        Raises CsrfRequired unless the browser says that the form is of this origin; a form cannot send `X-CSRF`. Raises
        InvalidRequest for a form with fields, StoreUnavailable.
        """
        headers = request.scope["headers"]
        self._endpoint.authentication.origins.check_form(headers)
        if await read_form_fields(request, _FORM_LIMIT):
            raise InvalidRequest("The sign-out form has no fields.")
        path, cookies = await self._endpoint.sign_out(headers, local=False)
        if path is None:
            return see_other(self._browser.signed_out_path, [*cookies, *CLEAR_SITE_DATA])
        # A page, not a redirect: Chromium applies `form-action` to every redirect after a form.
        return same_site_step(path, [*cookies, *CLEAR_SITE_DATA])


def logout_router(endpoint: LogoutEndpoint, form: SignOutForm) -> APIRouter:
    router = APIRouter()

    summary = "A page with a sign-out button"

    @router.get("/auth/logout", **described(summary, media_type="text/html", errors=(MethodNotAllowed,)))
    async def show_sign_out_form(request: Request) -> Response:
        return form.show(request)

    @router.post(
        "/auth/logout",
        **described(
            "Ends the session; the answer is the same without one",
            returns=("SignOutResult",),
            body={"application/json": {"schema": schema("SignOutRequest")}},
            parameters=[CSRF_HEADER],
            errors=(InvalidRequest, CsrfRequired, StoreUnavailable),
        ),
    )
    async def sign_out(request: Request) -> Response:
        if media_type(request) == FORM:
            return await form.submit(request)
        return await endpoint.answer(request)

    summary, ticket = "Redirects to the provider's sign-out", query("ticket", "Of the end_session_url.")
    errors = (NavigationRequired, StoreUnavailable)

    @router.get(AT_PROVIDER, **described(summary, status=303, parameters=[ticket], errors=errors))
    async def sign_out_at_provider(request: Request) -> Response:
        return await endpoint.go_on(request)

    return router
