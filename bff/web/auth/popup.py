"""`GET /auth/popup?id=`: where a sign-in with `mode=popup` ends (`bff.web.popup_page`). It reads no session."""

from fastapi import APIRouter, Request, Response

from bff.errors import InvalidRequest, NavigationRequired
from bff.web.auth.login import require_navigation
from bff.web.popup_page import POPUP, PopupPage, popup_path
from bff.web.request_body import parse_fields
from bff.web.responses import PRIVATE, SAME_ORIGIN, raw_response
from bff.web.route_description import described, query


def popup_router(page: PopupPage) -> APIRouter:
    router = APIRouter()

    summary = "Announces the end of a sign-in in a popup (BroadcastChannel bff-sign-in: SignInMessage), and closes"
    identifier = query("id", "The popup_id of the sign-in.", pattern="^[A-Za-z0-9_-]{16,64}$")
    errors = (NavigationRequired, InvalidRequest)

    @router.get(POPUP, **described(summary, media_type="text/html", parameters=[identifier], errors=errors))
    async def sign_in_finished(request: Request) -> Response:
        """Raises NavigationRequired for a fetch, a frame or a prefetch, and InvalidRequest for a malformed id."""
        require_navigation(request.scope["headers"])
        path = popup_path(parse_fields(request.scope["query_string"]).get("id"))
        if path is None:
            raise InvalidRequest("The parameter id is malformed.")
        body = page.render(path)
        headers = [(b"content-length", str(len(body)).encode("ascii")), *PRIVATE, SAME_ORIGIN]
        own = {name for name, _ in page.headers()}
        return raw_response(200, [*(field for field in headers if field[0] not in own), *page.headers()], body)

    return router
