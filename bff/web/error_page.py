"""The error page for a failed navigation: what happened, what to do next, and the details for support.

No script, no image, no external resource. All text is constant or escaped.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from bff.errors import BffError
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.web.error_status import status_of
from bff.web.problem_details import ErrorResponse, error_headers

# The built-in style sheet. The operator's own follows it, and the Content-Security-Policy allows the two by their hash.
# The policy allows nothing to be loaded, so a style sheet cannot report to a third party who saw which page.

_STYLE: Final = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --paper: #ffffff; --quiet: #57606a; --line: #d0d7de; --link: #0550ae;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9ea7b3; --line: #3d444d; --link: #79c0ff; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: clamp(1.5rem, 8vh, 6rem) 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
a { color: var(--link); }
.links { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 1.5rem 0 0; padding: 0; list-style: none; }
.links a { display: inline-block; padding: .6rem 0; font-weight: 600; }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; }
dl { margin: 2rem 0 0; padding: 1rem 0 0; border-top: 1px solid var(--line); color: var(--quiet); font-size: .9rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .5rem; font-family: ui-monospace, monospace; }
"""


@dataclass(frozen=True, slots=True)
class PageStyle:
    """`content_security_policy` allows exactly `css` and nothing else."""

    css: str
    content_security_policy: bytes

    @classmethod
    def of(cls, css: str) -> "PageStyle":
        digest = b64encode(hashlib.sha256(css.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        return cls(css, f"{policy}frame-ancestors 'none'".encode("ascii"))


_NextStep: TypeAlias = Literal["sign in", "home"]


class _Advice(NamedTuple):
    what_happened: str
    what_next: str
    next_step: _NextStep


_ADVICE: Final[dict[str, _Advice]] = {
    "sign_in_required": _Advice("You are not signed in, or your session has ended.", "Sign in to continue.", "sign in"),
    "sign_in_state_invalid": _Advice(
        (
            "The response to a sign-in arrived, but this browser did not start that sign-in, or the response has "
            "already been used. An old bookmark or the back button can cause this."
        ),
        "Start again from here. If you were signed in before, you still are.",
        "sign in",
    ),
    "sign_in_expired": _Advice(
        "The sign-in was open for too long before it was completed.", "Start again from here.", "sign in"
    ),
    "sign_in_refused": _Advice(
        "The identity provider refused this sign-in.",
        "Try again. If it happens once more, give your administrator the details below.",
        "sign in",
    ),
    "sign_in_loop": _Advice(
        "This browser was redirected to sign-in many times within a minute, so the redirects were stopped.",
        "Wait a minute, then try again. If it happens once more, give your administrator the details below.",
        "sign in",
    ),
    "rate_limited": _Advice(
        (
            "There are too many sign-in or sign-out requests at the moment, in total or from your network. Existing "
            "sessions are not affected."
        ),
        "Wait a moment, then try again.",
        "sign in",
    ),
    "not_assigned": _Advice(
        "You signed in, but your account has not been given access to this application.",
        "Ask your administrator for access, then try again.",
        "sign in",
    ),
    "sign_in_failed": _Advice(
        "The identity provider's response could not be verified, so you were not signed in.",
        "Try again. If it happens once more, give your administrator the details below.",
        "sign in",
    ),
    "provider_unavailable": _Advice(
        "The identity provider is unavailable at the moment. Existing sessions are not affected.",
        "Wait a moment, then try again.",
        "sign in",
    ),
    "store_unavailable": _Advice(
        "The service cannot look up sessions at the moment. Existing sessions are not affected.",
        "Wait a moment, then try again.",
        "sign in",
    ),
    "headers_too_large": _Advice(
        (
            "The browser sent more cookies or headers than the service accepts. Cookies of sign-ins in progress have "
            "been deleted; you have not been signed out."
        ),
        "Try again. If it happens once more, delete this site's cookies in your browser.",
        "home",
    ),
    "route_not_found": _Advice(
        ("There is no page at this address."), "Check the address, or go to the start page.", "home"
    ),
    "csrf_required": _Advice(
        "This address is for the application itself and cannot be opened directly.", "Go to the start page.", "home"
    ),
    "navigation_required": _Advice(
        "Sign-in requires a page navigation and cannot run in the background.", "Sign in from here.", "sign in"
    ),
}
_DEFAULT_ADVICE: Final = _Advice(
    "The request could not be completed. You have not been signed out.",
    "Go to the start page and try again. If it happens once more, give your administrator the details below.",
    "home",
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{what_happened}</p>
<p>{what_next}</p>
<ul class="links">
{links}
</ul>
<dl>
<dt>Error code</dt><dd>{code}</dd>
<dt>Reference</dt><dd>{correlation_id}</dd>
</dl>
</main>
</body>
</html>
"""


class ErrorPages:
    """The error pages of one application."""

    def __init__(self, landing_path: str = "/", stylesheet: str | None = None) -> None:
        """`landing_path` is where the pages link to as the start page; `stylesheet` follows the built-in one."""
        self._landing_path = landing_path
        # Browsers hash the style after newline normalisation: CR LF and CR become LF.
        self._style = PageStyle.of(_STYLE + (stylesheet or "").replace("\r\n", "\n").replace("\r", "\n"))

    def render(
        self, error: BffError, *, correlation_id: str, return_to: str | None = None, options: SignInOptions = PLAIN
    ) -> ErrorResponse:
        """`return_to` is a path on our origin for the retry link, by default the landing path.

        `options` are those of the sign-in that failed.
        """
        advice, back = _ADVICE.get(error.code, _DEFAULT_ADVICE), return_to or self._landing_path
        links = [(self._landing_path, "Go to the start page")]
        if advice.next_step == "sign in":
            links.insert(0, (_retry_url(back, options), "Try again"))
            if options.acr_values or options.max_age is not None:
                # After a failed step-up the user is still signed in and may continue without it.
                links.insert(1, (back, "Go back without signing in again"))
        page = _PAGE.format(
            title=escape(error.title),
            style=self._style.css,
            what_happened=escape(advice.what_happened),
            what_next=escape(advice.what_next),
            links="\n".join(f'<li><a href="{escape(href)}">{text}</a></li>' for href, text in links),
            code=escape(error.code),
            correlation_id=escape(correlation_id),
        ).encode()
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", self._style.content_security_policy),
            # The page's own URL may contain a code and a state.
            (b"referrer-policy", b"no-referrer"),
            (b"x-frame-options", b"DENY"),
            *error_headers(error, page),
        ]
        return ErrorResponse(status_of(error), headers, page)


def _retry_url(return_to: str, options: SignInOptions) -> str:
    """The same sign-in again, without prompt=none (it would show nothing again) and without login_hint (personal data
    in a URL).
    """
    repeated = {name: value for name, value in options.parameters().items() if name != "login_hint" and value != "none"}
    return f"/auth/login?return_to={quote(return_to, safe='/')}" + "".join(
        f"&{urlencode({name: value})}" for name, value in repeated.items()
    )
