"""The authorization endpoint: validates the request, signs a user in, redirects the browser.

Errors are returned to the redirect_uri, except for an invalid client or redirect_uri, which get a 400 page.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from demo.simulator import okta_errors, pages, resource_indicators
from demo.simulator.authorization_codes import CodeGrant
from demo.simulator.browser_sessions import ONE_FACTOR, TWO_FACTORS, BrowserSession, SignInUnderWay
from demo.simulator.client_authentication import authenticate
from demo.simulator.forms import parse_form, read_form
from demo.simulator.grants import SignIn, fingerprint
from demo.simulator.metadata import scopes
from demo.simulator.okta_errors import RequestRefused
from demo.simulator.org import SECRET_PARAMETERS, AuthorizationServer, Org
from demo.simulator.pushed_requests import LIFETIME, PushedRequest

STATE = re.compile(r"[A-Za-z0-9,._-]+")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
PROMPTS = frozenset({"none", "login", "consent", "login consent", "consent login"})
# The factors that each acr value requires; None cannot be met. Unknown values are ignored, as at Okta.
FACTORS: dict[str, int | None] = {
    "urn:okta:loa:1fa:any": ONE_FACTOR,
    "urn:okta:loa:1fa:pwd": ONE_FACTOR,
    "urn:okta:loa:2fa:any": TWO_FACTORS,
    "urn:okta:loa:2fa:any:ifpossible": ONE_FACTOR,
    "phr": None,
    "phrh": None,
}
SESSION_COOKIE = "sid"


class AuthorizationError(Exception):
    """An error for the redirect_uri: `error` and `description` are the response parameters."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error, self.description = error, description


async def authorize(org: Org, server: AuthorizationServer, request: Request) -> Response:
    org.watch_url(request)
    try:
        raw = await request.body() if request.method == "POST" else request.url.query.encode()
        parameters = parse_form(raw)
    except RequestRefused:
        return _stay("invalid_request", "A parameter is repeated or unreadable.")
    client = org.clients.get(parameters.get("client_id", ""))
    if client is None:
        return _stay("invalid_client", "Invalid value for 'client_id' parameter.")
    if "request_uri" in parameters:
        pushed = org.pushed.take(parameters["request_uri"], org.now())
        if pushed is None or pushed.client_id != client.client_id or pushed.endpoints != server.endpoints:
            return _stay("invalid_request_uri", "The 'request_uri' is unknown, used or expired.")
        parameters = pushed.parameters  # other parameters in the URL are ignored (RFC 9126 section 4)
    if parameters.get("redirect_uri") not in client.redirect_uris:
        org.violation("unregistered_redirect_uri", f"{client.client_id} asked for an unregistered redirect_uri")
        return _stay(
            "invalid_request", "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings."
        )
    try:
        factors = _check(org, server, client.pkce_required, parameters)
        session = org.sessions.get(request.cookies.get(SESSION_COOKIE))
        if session is not None and _still_good(session, parameters, factors, org.now()):
            return _grant(org, server, parameters, session)
        return _ask(org, server, parameters, factors, session)
    except AuthorizationError as wrong:
        org.record("authorization_refused", f"authorization refused: {wrong.error}", error=wrong.error)
        return send_back(parameters, {"error": wrong.error, "error_description": wrong.description})


async def push(org: Org, server: AuthorizationServer, request: Request) -> Response:
    """The pushed authorization request endpoint (RFC 9126)."""
    org.watch_url(request)
    if not org.config.pushed_requests:
        return okta_errors.not_found()
    try:
        form = await read_form(request)
        client = authenticate(org, request.headers.get("authorization"), form, f"{org.base_url}{request.url.path}")
    except RequestRefused as refused:
        return refused.error.response()
    if form.get("redirect_uri") not in client.redirect_uris or "request_uri" in form:
        return _not_taken("invalid_request", "The request cannot be pushed.")
    parameters = {name: value for name, value in form.items() if name not in SECRET_PARAMETERS}
    try:
        _check(org, server, client.pkce_required, parameters)
    except AuthorizationError as wrong:
        return _not_taken(wrong.error, wrong.description)
    parameters["client_id"] = client.client_id
    name = org.pushed.keep(PushedRequest(client.client_id, server.endpoints, parameters, org.now()))
    org.record("pushed", "an authorization request was pushed")
    kept = {"request_uri": name, "expires_in": LIFETIME}
    return JSONResponse(kept, org.config.pushed_status, headers={"Cache-Control": "no-cache, no-store"})


def _not_taken(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400)


def _check(org: Org, server: AuthorizationServer, pkce_required: bool, parameters: Mapping[str, str]) -> int:
    """How many factors the request requires. Raises AuthorizationError."""
    if not STATE.fullmatch(parameters.get("state", "")):
        raise AuthorizationError("invalid_state", "The 'state' parameter is missing or has illegal characters.")
    if parameters.get("response_type") != "code":
        raise AuthorizationError("unsupported_response_type", "The response type is not supported.")
    if parameters.get("response_mode", "query") not in ("query", "fragment", "form_post"):
        raise AuthorizationError("unsupported_response_mode", "The response mode is not supported here.")
    scope = parameters.get("scope", "").split()
    if "openid" not in scope or not set(scope) <= set(scopes(server)):
        raise AuthorizationError("invalid_scope", "One or more scopes are not configured for the client.")
    if (wrong := resource_indicators.problem(server, resource_indicators.of_form(parameters))) is not None:
        raise AuthorizationError(wrong.error, wrong.description)
    challenge = parameters.get("code_challenge")
    if challenge is None and pkce_required:
        org.violation("missing_code_challenge", "an authorization request without PKCE")
        raise AuthorizationError("invalid_request", "PKCE code challenge is required.")
    if challenge is not None and (
        parameters.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge)
    ):
        raise AuthorizationError("invalid_request", "The PKCE code challenge must be S256.")
    prompt, max_age = parameters.get("prompt"), parameters.get("max_age")
    if prompt is not None and prompt not in PROMPTS:
        raise AuthorizationError("invalid_request", "The 'prompt' parameter is invalid.")
    if max_age is not None and not (max_age.isascii() and max_age.isdigit() and int(max_age) < 2**31):
        raise AuthorizationError("invalid_request", "The 'max_age' parameter is invalid.")
    if prompt == "none" and max_age == "0":
        raise AuthorizationError("invalid_request", "'prompt=none' and 'max_age=0' contradict each other.")
    known = [value for value in parameters.get("acr_values", "").split() if value in FACTORS]
    if not known:
        return ONE_FACTOR
    factors = FACTORS[known[0]]
    if factors is None:
        raise AuthorizationError("unmet_authentication_requirements", "The requested 'acr_values' cannot be met.")
    return factors


def _still_good(session: BrowserSession, parameters: Mapping[str, str], factors: int, now: float) -> bool:
    if "login" in parameters.get("prompt", "").split() or session.factors < factors:
        return False
    max_age = parameters.get("max_age")
    return max_age is None or (int(max_age) > 0 and now - session.auth_time <= int(max_age))


def _ask(
    org: Org,
    server: AuthorizationServer,
    parameters: Mapping[str, str],
    factors: int,
    session: BrowserSession | None,
) -> Response:
    """The sign-in page. Raises AuthorizationError if the request forbids it."""
    if parameters.get("prompt") == "none":
        raise AuthorizationError("login_required", "The client specified not to prompt, but the user is not signed in.")
    handle = org.sessions.wait_for_person(SignInUnderWay(server.endpoints, dict(parameters), factors, org.now()))
    login = parameters.get("login_hint") or (org.people[session.sub].login if session else "")
    return pages.sign_in(handle, login, tuple(org.people.values()), second_factor=factors == TWO_FACTORS)


async def sign_in(org: Org, request: Request) -> Response:
    """Handles the sign-in form. A wrong password shows the page again."""
    try:
        form = parse_form(await request.body())
    except RequestRefused:
        return _stay("invalid_request", "The form is unreadable.")
    handle, login = form.get("transaction", ""), form.get("username", "")
    waiting = org.sessions.under_way(handle, org.now())
    if waiting is None:
        return _stay("login_required", "This sign-in has expired. Go back to the application and start again.")
    person = org.find_person(login)
    two = waiting.factors == TWO_FACTORS
    if person is None or form.get("password") != person.password:
        org.record("sign_in_failed", "a sign-in with a wrong username or password")
        return pages.sign_in(handle, login, tuple(org.people.values()), second_factor=two, wrong="Unable to sign in")
    server = org.server(waiting.endpoints)
    try:
        if two and not person.has_second_factor:
            raise AuthorizationError("unmet_authentication_requirements", "The user has no second factor.")
        if two and not re.fullmatch(r"\d{6}", form.get("code", "")):
            wrong = "Enter any six digits as the code"
            return pages.sign_in(handle, login, tuple(org.people.values()), second_factor=two, wrong=wrong)
        org.sessions.arrived(handle)
        session = org.sessions.begin(person.sub, waiting.factors, org.now())
        org.record("signed_in", f"{person.login} signed in at the provider", sub=person.sub)
        answer = _grant(org, server, waiting.parameters, session)
    except AuthorizationError as wrong_request:
        org.sessions.arrived(handle)
        org.record("authorization_refused", f"authorization refused: {wrong_request.error}", error=wrong_request.error)
        return send_back(
            waiting.parameters, {"error": wrong_request.error, "error_description": wrong_request.description}
        )
    answer.set_cookie(SESSION_COOKIE, session.handle, httponly=True, samesite="lax", path="/")
    return answer


def _grant(org: Org, server: AuthorizationServer, parameters: Mapping[str, str], session: BrowserSession) -> Response:
    """A code for the redirect_uri. Raises AuthorizationError if the user may not use the application."""
    if not org.may_use(parameters["client_id"], session.sub):
        raise AuthorizationError("access_denied", "User is not assigned to the client application.")
    asked = [value for value in parameters.get("acr_values", "").split() if value in FACTORS]
    two = session.factors == TWO_FACTORS
    scope = frozenset(parameters["scope"].split())
    client = org.clients.get(parameters["client_id"])
    if client is not None and "refresh_token" not in client.grant_types:
        scope -= {"offline_access"}  # Okta's behaviour is not documented here: a user still gets in
    grant = SignIn(
        sub=session.sub,
        client_id=parameters["client_id"],
        issuer=server.issuer,
        scope=scope,
        sid=session.sid,
        auth_time=int(session.auth_time),
        acr=asked[0] if asked else "",
        amr=("mfa", "otp", "pwd") if two else ("pwd",),
        resources=frozenset(resource_indicators.of_form(parameters)),
    )
    code = org.codes.issue(
        CodeGrant(
            sign_in=grant,
            redirect_uri=parameters["redirect_uri"],
            nonce=parameters.get("nonce"),
            code_challenge=parameters.get("code_challenge"),
            issued_at=org.now(),
        )
    )
    org.record("code_issued", f"{org.name_of(session.sub)}: code {fingerprint(code)}", sub=session.sub)
    return send_back(parameters, {"code": code})


def send_back(parameters: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    """The authorization response in the requested response mode; `state` is echoed unless it is invalid."""
    state = parameters.get("state", "")
    full = {**answer, **({"state": state} if STATE.fullmatch(state) else {})}
    redirect_uri = parameters["redirect_uri"]
    headers = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache, no-store"}
    match parameters.get("response_mode", "query"):
        case "form_post":
            return HTMLResponse(pages.form_post(redirect_uri, full), headers=headers)
        case "fragment":
            return RedirectResponse(f"{redirect_uri}#{urlencode(full)}", 302, headers)
        case _:
            separator = "&" if "?" in redirect_uri else "?"
            return RedirectResponse(f"{redirect_uri}{separator}{urlencode(full)}", 302, headers)


def _stay(error: str, description: str) -> Response:
    return HTMLResponse(pages.error(error, description), 400)
