"""Did our own page send this request? Three witnesses: `Sec-Fetch-Site`, `Origin`, and the header `X-CSRF: 1`.

The custom header can't be sent across origins without a CORS preflight, which nobody here answers. `Sec-Fetch-Site` and
`Origin` are written by the browser and out of a page's reach. The three must not contradict each other, and none may
come twice.

| witness                    | rule `header`                   | rule `fetch-metadata`, GET and HEAD      |
|----------------------------|---------------------------------|------------------------------------------|
| X-CSRF                     | exactly `1`, on every method    | not needed                               |
| Origin                     | if sent: ours or an allowed one | the same                                 |
| Sec-Fetch-Site same-origin | yes                             | yes                                      |
| same-site, cross-site      | only with an allowed Origin     | only with an allowed Origin              |
| none (typed, a bookmark)   | no                              | yes                                      |
| no Sec-Fetch-Site          | yes                             | with an Origin, or with X-CSRF           |

Without Sec-Fetch-Site and Origin the custom header decides alone: today's browsers send at least one of the two, and an
older one still could not have sent the header across origins unasked. `null` is nobody's origin.

Under `fetch-metadata` every other method is judged by `header`. The rule `navigation` (forward-auth) is
`fetch-metadata` that also lets top-level navigations through, wherever the link was.
"""

from collections.abc import Collection, Sequence
from typing import Final, Literal, TypeAlias

from bff.errors import CsrfRequired, UnsupportedMediaType
from bff.web.cookies import Header

CsrfRule: TypeAlias = Literal["header", "fetch-metadata", "navigation"]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_CSRF_HEADERS: Final = frozenset({b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"x-csrf"})


def _csrf_headers(headers: Sequence[Header]) -> dict[bytes, bytes]:
    """The value of each signal that is present. Raises CsrfRequired when one occurs twice."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        name = name.lower()
        if name in _CSRF_HEADERS:
            if name in fields:
                raise CsrfRequired(f"The header {name.decode('ascii')} came more than once.")
            fields[name] = value
    return fields


def _known_origin(origin: bytes | None, public_origin: str, allowed_origins: Collection[str]) -> bytes | None:
    """The Origin header if it is ours or an allowed one, compared byte for byte; None when absent.

    `null` is never accepted.
    """
    if origin is None:
        return None
    known = {public_origin.encode("ascii"), *(allowed.encode("ascii") for allowed in allowed_origins)} - {b"null"}
    if origin not in known:
        raise CsrfRequired("The Origin is not an origin of this application.")
    return origin


def check_csrf(
    method: str,
    headers: Sequence[Header],
    *,
    public_origin: str,
    allowed_origins: Collection[str] = (),
    rule: CsrfRule = "header",
) -> None:
    """Returns if the request comes from our own page, raises CsrfRequired otherwise.

    `method` is the one on the request line; there is no method override. `headers` are those received before the body.
    """
    fields = _csrf_headers(headers)
    origin = _known_origin(fields.get(b"origin"), public_origin, allowed_origins)
    site, custom = fields.get(b"sec-fetch-site"), fields.get(b"x-csrf")
    if custom not in (None, b"1"):
        raise CsrfRequired("The header X-CSRF has another value than 1.")
    is_safe = rule != "header" and method in _SAFE_METHODS

    if is_safe and rule == "navigation" and fields.get(b"sec-fetch-mode") == b"navigate":
        return
    match site:
        case b"same-origin":
            pass
        case b"none" if is_safe:
            pass
        case b"same-site" | b"cross-site" if origin is not None and origin != public_origin.encode("ascii"):
            pass
        case None if not is_safe or origin is not None or custom is not None:
            pass
        case None:
            raise CsrfRequired("The request carries neither Sec-Fetch-Site nor Origin nor X-CSRF.")
        case _:
            raise CsrfRequired("The request comes from another site.")
    if not is_safe and custom is None:
        raise CsrfRequired("The header X-CSRF: 1 is missing.")


def check_websocket_origin(
    headers: Sequence[Header], *, public_origin: str, allowed_origins: Collection[str] = ()
) -> None:
    """Raises CsrfRequired unless there is exactly one Origin and it is ours or an allowed one.

    A handshake cannot carry a custom header and is not subject to CORS, so the Origin is the only signal (RFC 6455
    section 10.2). A client that sends none is not a browser and has no cookie of ours.
    """
    if _known_origin(_csrf_headers(headers).get(b"origin"), public_origin, allowed_origins) is None:
        raise CsrfRequired("A WebSocket handshake needs an Origin.")


def require_json(headers: Sequence[Header], *, body_present: bool) -> None:
    """Raises UnsupportedMediaType unless the body is JSON.

    A cross-site page could send a form or text/plain without a preflight.
    """
    sent = [value for name, value in headers if name.lower() == b"content-type"]
    media_types = [value.partition(b";")[0].strip(b" \t").lower() for value in sent]
    if media_types != [b"application/json"] and (media_types or body_present):
        raise UnsupportedMediaType("Send application/json.")
