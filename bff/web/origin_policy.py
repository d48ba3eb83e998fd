"""Which origins may call the BFF: the CSRF check of a fetch, the Origin of a WebSocket handshake, and CORS.

The CSRF check reads three signals: `Sec-Fetch-Site`, `Origin`, and the header `X-CSRF: 1`. Another origin can send the
custom header only after a CORS preflight, and `bff.web.middleware.cors` grants one to allowed origins only. The browser
writes `Sec-Fetch-Site` and `Origin`, and a page cannot change them. The signals must not contradict each other, and
none may occur twice.

| signal                     | rule `header`                   | rule `fetch-metadata`, GET and HEAD      |
|----------------------------|---------------------------------|------------------------------------------|
| X-CSRF                     | exactly `1`, on every method    | not needed                               |
| Origin                     | if sent: ours or an allowed one | the same                                 |
| Sec-Fetch-Site same-origin | yes                             | yes                                      |
| same-site, cross-site      | only with an allowed Origin     | only with an allowed Origin              |
| none (typed, a bookmark)   | no                              | yes                                      |
| no Sec-Fetch-Site          | yes                             | with an Origin, or with X-CSRF           |

Without Sec-Fetch-Site and Origin the custom header decides alone: current browsers send at least one of the two, and an
older one still needs a preflight to send the header to another origin. The origin `null` is never accepted.

Under `fetch-metadata` the rule `header` applies to every other method. The rule `navigation` (forward-auth) is
`fetch-metadata` and also accepts top-level navigations from any site.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from bff.asgi.header_section import facts_of
from bff.errors import CsrfRequired
from bff.web.cookies import Header

CsrfRule: TypeAlias = Literal["header", "fetch-metadata", "navigation"]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_CSRF_HEADERS: Final = frozenset({b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"x-csrf"})


class OriginPolicy:
    """The application's own origin and the origins that the operator allows, encoded once.

    One object for CSRF, WebSocket handshakes and CORS, so that the three cannot disagree. Origins are compared byte for
    byte.
    """

    def __init__(self, public_origin: str, allowed_origins: Collection[str] = ()) -> None:
        self._public_origin = public_origin.encode("ascii")
        self._allowed = frozenset(origin.encode("ascii") for origin in allowed_origins) - {b"null"}
        self._known = self._allowed | ({self._public_origin} - {b"null"})

    @property
    def allows_other_origins(self) -> bool:
        return bool(self._allowed)

    def check_csrf(self, method: str, headers: Sequence[Header], rule: CsrfRule = "header") -> None:
        """Returns if the request comes from our own page, raises CsrfRequired otherwise.

        `method` is the one on the request line; there is no method override. `headers` are those received before the
        body.
        """
        facts = facts_of(headers)
        if facts is None:
            self._check_csrf(method, headers, rule)
        elif (allowed := (self, method, rule)) not in facts:
            self._check_csrf(method, headers, rule)
            facts[allowed] = True

    def _check_csrf(self, method: str, headers: Sequence[Header], rule: CsrfRule) -> None:
        fields = _csrf_headers(headers)
        origin = self._known_origin(fields.get(b"origin"))
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
            case b"same-site" | b"cross-site" if origin is not None and origin != self._public_origin:
                pass
            case None if not is_safe or origin is not None or custom is not None:
                pass
            case None:
                raise CsrfRequired("The request carries neither Sec-Fetch-Site nor Origin nor X-CSRF.")
            case b"none":
                raise CsrfRequired("The address was opened directly; only requests of the application are answered.")
            case _:
                raise CsrfRequired("The request comes from another site.")
        if not is_safe and custom is None:
            raise CsrfRequired("The header X-CSRF: 1 is missing.")

    def check_form(self, headers: Sequence[Header]) -> None:
        """Returns if a form of this origin was sent by a navigation of a whole page, raises CsrfRequired otherwise.

        A form cannot carry `X-CSRF`, so both signals of the browser must be there and name this very origin.
        """
        fields = _csrf_headers(headers)
        if fields.get(b"sec-fetch-site") != b"same-origin" or fields.get(b"sec-fetch-mode") != b"navigate":
            raise CsrfRequired("The form was not sent by a page of this application.")
        if fields.get(b"origin") != self._public_origin:
            raise CsrfRequired("The Origin of the form is not the origin of this application.")

    def check_websocket(self, headers: Sequence[Header]) -> None:
        """Raises CsrfRequired unless there is exactly one Origin and it is ours or an allowed one.

        A handshake cannot carry a custom header and is not subject to CORS, so the Origin is the only signal (RFC 6455
        section 10.2). A client that sends none is not a browser and has no cookie of ours.
        """
        if self._known_origin(_csrf_headers(headers).get(b"origin")) is None:
            raise CsrfRequired("A WebSocket handshake needs an Origin.")

    def cors_origin(self, headers: Sequence[Header]) -> bytes | None:
        """The Origin to which the response grants CORS: the single Origin of the request if it is an allowed one."""
        origins = [value for name, value in headers if name == b"origin"]
        return origins[0] if len(origins) == 1 and origins[0] in self._allowed else None

    def is_script_request(self, headers: Mapping[str, str]) -> bool:
        """Whether a script of ours sent it, rather than a link, a prefetch, or an image on a sibling host.

        For reads that need no CSRF check but must not react to requests that other sites can cause. Header names in
        lower case.
        """
        if headers.get("sec-fetch-mode") == "navigate" or "sec-purpose" in headers:
            return False
        same_origin = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return same_origin or headers.get("origin", "").encode("latin-1") in self._allowed

    def _known_origin(self, origin: bytes | None) -> bytes | None:
        """The Origin header if it is ours or an allowed one; None when absent."""
        if origin is not None and origin not in self._known:
            raise CsrfRequired("The Origin is not an origin of this application.")
        return origin


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
