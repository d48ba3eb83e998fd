"""A same-site navigation for a browser that arrives from another site: only then does it send the Strict cookie."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from fastapi import Response

from bff.web.cookies import Header
from bff.web.responses import raw_response

# No script: works where scripts are blocked, and nothing else needs loading. The link is a fallback.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="0; url={to}">
<title>One moment</title>
</head>
<body><main><h1>One moment</h1><p><a href="{to}">Go on</a></p></main></body>
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


def is_cross_site_navigation(headers: Sequence[Header]) -> bool:
    """Whether this is a navigation on which the browser may have withheld the Strict cookie."""
    fields = dict(headers)
    return fields.get(b"sec-fetch-mode") == b"navigate" and fields.get(b"sec-fetch-site") in (
        b"cross-site",
        b"same-site",
    )


def same_site_step(to: str, extra: Iterable[Header] = ()) -> Response:
    """A page that navigates to `to`, an ASCII path on our origin, from our own site. `extra` are further headers."""
    body = _PAGE.format(to=escape(to)).encode("ascii")
    return raw_response(200, [(b"content-length", str(len(body)).encode("ascii")), *_HEADERS, *extra], body)
