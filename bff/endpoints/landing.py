"""`GET /auth/landing?to=`: one step on our own site for whoever comes from another one.

A browser doesn't send the Strict session cookie when it follows a link of another site, nor at the end of the redirects
that come back from the provider. A page behind forward-auth would see nobody, and ask for a sign-in that has just been
made. So it sends the browser here; this page opens the same address again, now from our own site and with the cookie.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from bff.endpoints.answers import answer
from bff.endpoints.cookies import Header
from bff.endpoints.login import LoginRules, require_navigation
from bff.endpoints.request_body import parse_fields
from bff.session.return_to import safe_return_to

LANDING: Final = "/auth/landing"

# Without a script: it works where none may run, and nothing else may be loaded. The link is for who sees the page.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="0; url={to}">
<title>One moment</title>
</head>
<body><a href="{to}">Go on</a></body>
</html>
"""
_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


def came_from_outside(headers: Sequence[Header]) -> bool:
    """Whether this is a navigation on which the Strict cookie may have been held back."""
    fields = dict(headers)
    return fields.get(b"sec-fetch-mode") == b"navigate" and fields.get(b"sec-fetch-site") in (
        b"cross-site",
        b"same-site",
    )


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
        body = _PAGE.format(to=escape(where(request))).encode("ascii")
        return answer(200, [(b"content-length", str(len(body)).encode("ascii")), *_HEADERS], body)

    return router
