"""The error page for a failed navigation: what happened, what to do next, and the details for support."""

from html import escape
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from bff.errors import BffError
from bff.oidc.authorization import PLAIN, SignInOptions
from bff.web.error_status import status_of
from bff.web.page_layout import PageLayout
from bff.web.popup_page import CLOSE_BUTTON, SCRIPT_HASH, announcement, is_popup
from bff.web.problem_details import ErrorResponse, error_headers

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
    "forbidden_by_rule": _Advice(
        "You are signed in, but an access rule of this application does not allow this request.",
        "If you need access, give your administrator the details below.",
        "home",
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
    "device_binding_pending": _Advice(
        "The browser could not prove yet that the session belongs to this device. You have not been signed out.",
        "Wait a moment, then try again.",
        "home",
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

_CONTENT: Final = """<p>{what_happened}</p>
<p>{what_next}</p>
<ul class="links">
{links}
</ul>
{close}<dl>
{details}
</dl>{script}"""


class ErrorPages:
    """The error pages of one application."""

    def __init__(self, landing_path: str = "/", stylesheet: str | None = None) -> None:
        """`landing_path` is where the pages link to as the start page; `stylesheet` follows the built-in one."""
        self._landing_path, self._layout = landing_path, PageLayout(stylesheet)

    def render(
        self, error: BffError, *, correlation_id: str, return_to: str | None = None, options: SignInOptions = PLAIN
    ) -> ErrorResponse:
        """`return_to` is a path on our origin for the retry link, by default the landing path.

        `options` are those of the sign-in that failed.
        """
        advice, back = _ADVICE.get(error.code, _DEFAULT_ADVICE), return_to or self._landing_path
        in_popup = is_popup(back)
        links = [(self._landing_path, "Go to the start page")]
        if advice.next_step == "sign in":
            links.insert(0, (_retry_url(back, options), "Try again"))
            if options.acr_values or options.max_age is not None:
                # After a failed step-up the user is still signed in and may continue without it.
                links.insert(1, (back, "Go back without signing in again"))
        page = self._layout.render(
            error.title,
            _CONTENT.format(
                what_happened=escape(advice.what_happened),
                what_next=escape(advice.what_next),
                links="\n".join(f'<li><a href="{escape(href)}">{text}</a></li>' for href, text in links),
                details=_details(error, correlation_id),
                close=f"<p>{CLOSE_BUTTON}</p>\n" if in_popup else "",
                script=f"\n{announcement(back, error.code)}" if in_popup else "",
            ),
        )
        policy = self._layout.headers(script_hash=SCRIPT_HASH if in_popup else None)
        headers = [*policy, *error_headers(error, page)]
        return ErrorResponse(status_of(error), headers, page)


def _retry_url(return_to: str, options: SignInOptions) -> str:
    """The same sign-in again, without prompt=none (it would show nothing again) and without login_hint (personal data
    in a URL).
    """
    repeated = {name: value for name, value in options.parameters().items() if name != "login_hint" and value != "none"}
    return f"/auth/login?return_to={quote(return_to, safe='/')}" + "".join(
        f"&{urlencode({name: value})}" for name, value in repeated.items()
    )


def _details(error: BffError, correlation_id: str) -> str:
    """The terms of the details list. `error.detail` is our own: it names a parameter and its rule, never a value."""
    details = [("Error code", error.code), ("What is wrong", error.detail or ""), ("Reference", correlation_id)]
    return "\n".join(f"<dt>{term}</dt><dd>{escape(text)}</dd>" for term, text in details if text)
