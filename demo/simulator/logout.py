"""RP-Initiated Logout: ends the browser's session at the provider, and no token."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from demo.simulator import pages
from demo.simulator.authorization import SESSION_COOKIE
from demo.simulator.forms import parse_form
from demo.simulator.okta_errors import RequestRefused
from demo.simulator.org import AuthorizationServer, Org


async def logout(org: Org, server: AuthorizationServer, request: Request) -> Response:
    org.watch_url(request)
    try:
        raw = await request.body() if request.method == "POST" else request.url.query.encode()
        parameters = parse_form(raw)
    except RequestRefused:
        return _stay("invalid_request", "A parameter is repeated or unreadable.")
    hint = parameters.get("id_token_hint", "")
    claims = org.keys.verified(hint) if hint.count(".") == 2 else None  # an expired one is accepted
    if claims is None or claims.get("iss") != server.issuer:
        return _stay("invalid_request", "The 'id_token_hint' parameter is missing or invalid.")
    client = org.clients.get(str(claims.get("aud")))
    target = parameters.get("post_logout_redirect_uri")
    if client is None or (target is not None and target not in client.post_logout_redirect_uris):
        org.violation("unregistered_post_logout_redirect_uri", "a logout asked for an unregistered return address")
        return _stay(
            "illegal_post_logout_redirect_uri",
            "The 'post_logout_redirect_uri' parameter must be a Logout redirect URI in the client app settings.",
        )
    session = org.sessions.get(request.cookies.get(SESSION_COOKIE))
    if session is not None and session.sub != claims.get("sub"):
        return _stay("id_token_does_not_match_session", "The 'id_token_hint' is of another user than the session.")
    if session is not None:
        org.sessions.end(session.handle)
        org.record("signed_out", f"{org.name_of(session.sub)} signed out at the provider", sub=session.sub)
    answer: Response
    if target is None:
        answer = HTMLResponse(pages.signed_out())
    else:
        query = urlencode({"state": parameters["state"]}) if "state" in parameters else ""
        separator = "&" if "?" in target else "?"
        answer = RedirectResponse(f"{target}{separator}{query}" if query else target, 302)
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


def _stay(error: str, description: str) -> Response:
    return HTMLResponse(pages.error(error, description), 400)
