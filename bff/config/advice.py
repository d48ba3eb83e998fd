"""The advice that `bff check` prints about settings that are valid but probably not intended."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from bff.config.api_tokens import ExchangeToken
from bff.config.provider import is_okta
from bff.config.routes import Route
from bff.config.server import EVERYWHERE
from bff.config.settings import Settings


def notes(settings: Settings) -> list[str]:
    """Returns one text for each piece of advice. None of them prevents the start."""
    return [*_issuer(settings), *_refresh(settings), *_browser(settings), *_data_plane(settings)]


def org_server_tokens(settings: Settings) -> list[str]:
    """The advice for an issuer that is the authorization server of an Okta org itself."""
    sending = [route.prefix for route in settings.routes if route.sends_users_token]
    if not sending:
        return []
    return [
        f"issuer is the org authorization server, and {', '.join(sending)} sends its access tokens: APIs cannot "
        f"validate them (`bff docs okta`). Set BFF_ISSUER to a custom authorization server, like "
        f"{settings.provider.org_url}/oauth2/default, or give the routes an identity assertion (`bff docs api-tokens`)."
    ]


def _issuer(settings: Settings) -> list[str]:
    issuer = settings.provider.issuer
    if not is_okta(issuer) or not issuer.endswith("/"):
        return []
    return [f"issuer ends with a slash, and Okta's issuers do not: it is probably {issuer.rstrip('/')}."]


def _refresh(settings: Settings) -> list[str]:
    remarks = []
    if "offline_access" not in settings.provider.scopes:
        remarks.append(
            "scopes do not include offline_access: unless the provider gives a refresh token without it (Keycloak "
            "does), users sign in again whenever their access token expires."
        )
    if settings.refresh.grace == 0:
        remarks.append(
            f"refresh_grace is 0: after a lost response, the provider may treat a resend as reuse. Every resend is "
            f"then after the grace period, and refresh_after_grace is "
            f"{'on' if settings.refresh.after_grace else 'off'}."
        )
    elif settings.refresh.lease + settings.refresh.timeout >= settings.refresh.grace:
        remarks.append(
            f"refresh_lease + refresh_timeout ({settings.refresh.lease + settings.refresh.timeout:g} s) is not "
            f"shorter than refresh_grace ({settings.refresh.grace} s): only a quick failure is resent inside the "
            f"grace period, a refresh that times out is resent after it."
        )
    if not settings.refresh.after_grace:
        remarks.append(
            "refresh_after_grace is off: a refresh whose response was lost and whose grace period is over requires "
            "a new sign-in, although its token might still be valid."
        )
    return remarks


def _browser(settings: Settings) -> list[str]:
    remarks = []
    if not settings.browser.cookies_secure:
        remarks.append(
            "public_url is http on this machine: cookies have neither Secure nor the __Host- prefix. For "
            "development only."
        )
    if settings.session.idle_timeout > 12 * 3600:
        remarks.append(
            f"idle_timeout is {settings.session.idle_timeout / 3600:g} hours: an unattended browser stays signed in "
            "that long."
        )
    if settings.browser.cookies_secure and not settings.server.trusted_proxies and settings.sign_in.rate_per_client:
        remarks.append(
            "trusted_proxies is empty, and public_url is https, which requires a proxy: every client appears with "
            "the proxy's address, so sign-ins are only limited in total. List the proxies."
        )
    if "0.0.0.0/0" in settings.server.trusted_proxies or "::/0" in settings.server.trusted_proxies:
        remarks.append("trusted_proxies trusts every address: any client can spoof its address in X-Forwarded-For.")
    return remarks


def _data_plane(settings: Settings) -> list[str]:
    remarks = []
    if is_okta(settings.provider.issuer) and not urlsplit(settings.provider.issuer).path:
        remarks += org_server_tokens(settings)
    if settings.security_events.delivery == "push" and settings.security_events.authorization is None:
        remarks.append(
            "security_events is push, and security_events_authorization is not set: the signature alone authorizes a "
            "delivery. With a header that the transmitter sends, others cannot make the BFF verify signatures."
        )
    if not settings.routes:
        remarks.append("there are no routes: users can sign in, but no request is forwarded to an API.")
    remarks += [
        f"routes: {route.prefix} sends access tokens to {route.upstream} over http."
        for route in settings.routes
        if route.allow_http and route.upstream.startswith("http:") and route.token != "none"
    ]
    remarks += _ways_around_rules(settings.routes)
    remarks += [
        f"routes: {route.prefix} exchanges tokens with the client of the sign-ins: Okta lets only API Services apps do "
        'that. Set client = "service", and BFF_SERVICE_CLIENT_ID.'
        for route in settings.routes
        if settings.provider.at_okta and isinstance(route.token, ExchangeToken) and route.token.client == "sign_in"
    ]
    if settings.server.management_address is None:
        remarks.append("management_listen is off: there is no /livez, /readyz or /metrics.")
    elif isinstance(settings.server.management_address, tuple) and settings.server.management_address[0] in EVERYWHERE:
        remarks.append("management_listen accepts connections from everywhere: do not expose that port to the public.")
    return remarks


def _ways_around_rules(routes: Sequence[Route]) -> list[str]:
    """Routes by which requests reach the paths of another route's upstream without that route's rules."""
    remarks = []
    for guarded in (route for route in routes if route.allow):
        for other in routes:
            same_server = (other.server.scheme, other.server.authority) == (
                guarded.server.scheme,
                guarded.server.authority,
            )
            if other is guarded or not same_server or other.allow == guarded.allow:
                continue
            reached = _common_path(_upstream_path(guarded), _upstream_path(other))
            public = None if reached is None else other.public_path(reached or "/")
            # A request for a path below the guarded prefix has its rules, or those of a route inside it.
            if public is not None and not guarded.covers(public.encode("ascii")):
                remarks.append(
                    f"routes: {other.prefix} leads to paths of {guarded.upstream} that {guarded.prefix} protects, "
                    f"without the rules of {guarded.prefix}. Give it the same allow, or another path."
                )
    return remarks


def _upstream_path(route: Route) -> str:
    """The path of the upstream below which all requests of a route are."""
    return route.server.base_path + ("" if route.strip_prefix else route.own_path.decode("ascii"))


def _common_path(*paths: str) -> str | None:
    """The longer of two paths, if it is the other one or below it."""
    shorter, longer = sorted(paths, key=len)
    return longer if f"{longer}/".startswith(f"{shorter}/") else None
