"""What `bff check` remarks about settings that are allowed, and yet may not be what was meant."""

from bff.config.server import EVERYWHERE
from bff.config.settings import Settings


def notes(settings: Settings) -> list[str]:
    """One sentence or two for each remark; none of them keeps the BFF from starting."""
    return [*_refresh(settings), *_browser(settings), *_data_plane(settings)]


def _refresh(settings: Settings) -> list[str]:
    remarks = []
    if "offline_access" not in settings.scopes:
        remarks.append(
            "scopes leave out offline_access: there will be no refresh token, and people sign in again "
            "whenever their access token ends."
        )
    if settings.refresh_grace == 0:
        remarks.append(
            "refresh_grace is 0: after an answer that was lost, the provider may already treat a repeat as reuse. "
            f"Every repeat is then a late one, and late sends are {'on' if settings.refresh_after_grace else 'off'}."
        )
    elif settings.refresh_lease + settings.refresh_timeout >= settings.refresh_grace:
        remarks.append(
            f"refresh_lease + refresh_timeout ({settings.refresh_lease + settings.refresh_timeout:g} s) is "
            f"not shorter than refresh_grace ({settings.refresh_grace} s): only a quick failure is repeated inside the "
            "grace, a refresh that times out is repeated late."
        )
    if not settings.refresh_after_grace:
        remarks.append(
            "refresh_after_grace is off: a refresh whose answer was lost and whose grace is over ends in a new "
            "sign-in, although its token might still be good."
        )
    return remarks


def _browser(settings: Settings) -> list[str]:
    remarks = []
    if not settings.cookies_secure:
        remarks.append(
            "public_url is http on this machine: cookies go without Secure and without the __Host- prefix. "
            "Good for development, and accepted nowhere else."
        )
    if settings.idle_timeout > 12 * 3600:
        remarks.append(
            f"idle_timeout is {settings.idle_timeout / 3600:g} hours: an unattended browser stays signed in as long."
        )
    if settings.cookies_secure and not settings.trusted_proxies and settings.sign_in_rate_per_client:
        remarks.append(
            "trusted_proxies are none, and public_url is https, which a proxy in front of us must speak: every client "
            "has that proxy's address, so sign-ins are limited in all and not for each client. Name the proxies."
        )
    if "0.0.0.0/0" in settings.trusted_proxies or "::/0" in settings.trusted_proxies:
        remarks.append("trusted_proxies trusts everybody: any client can claim any address in X-Forwarded-For.")
    return remarks


def _data_plane(settings: Settings) -> list[str]:
    remarks = []
    if not settings.routes:
        remarks.append("there are no routes: people can sign in, and nothing is forwarded to an API.")
    remarks += [
        f"routes: {route.prefix} goes over http to {route.upstream}, and so do people's access tokens."
        for route in settings.routes
        if route.allow_http and route.upstream.startswith("http:") and route.token != "none"
    ]
    if settings.management_address is None:
        remarks.append("management_listen is off: there is no /livez, /readyz or /metrics.")
    elif isinstance(settings.management_address, tuple) and settings.management_address[0] in EVERYWHERE:
        remarks.append("management_listen takes connections from everywhere: keep that port from the public.")
    return remarks
