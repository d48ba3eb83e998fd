"""The network around the BFF: the upstreams, and the proxy in front.

Each check opens a connection, or sends one anonymous GET.
"""

import asyncio
import json
import ssl
from typing import Final

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.config.routes import Route
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.oidc.token import NoAnswer
from bff.provider.http import HttpClient
from bff.proxy.open_routes import route_table

ANSWER_TIMEOUT: Final = 5.0  # seconds
MAX_RESPONSE_BYTES: Final = 65536  # bytes


async def upstreams(settings: Settings) -> list[CheckResult]:
    """Connects as the API proxy does (TCP, and TLS with the route's files) and closes the
    connection: no HTTP is sent.
    """
    try:
        routes = route_table(settings).routes
    except ConfigurationError as error:
        return [fail("upstreams", f"{error.setting} {error.problem}", error.fix)]
    if not routes:
        fix = "Add BFF_ROUTES, or [[routes]] in bff.toml, for the SPA's API calls."
        return [warn("upstreams", "There are no routes: nothing is forwarded.", fix)]
    return list(await asyncio.gather(*(_connect(route) for route in routes)))


async def _connect(route: Route) -> CheckResult:
    name, upstream = f"upstream {route.prefix}", route.server
    tls = (route.tls or ssl.create_default_context()) if upstream.scheme == "https" else None
    address = f"{upstream.scheme}://{upstream.authority}"
    try:
        async with asyncio.timeout(route.connect_timeout):
            _, writer = await asyncio.open_connection(upstream.address, upstream.port, ssl=tls)
    except ssl.SSLCertVerificationError as error:
        observed = f"{address} has a certificate that is not trusted here ({error.verify_message})."
        return fail(
            name, observed, "Set ca_file of the route to the CA that signed it, in PEM; the host name must be in it."
        )
    except ssl.SSLError:
        fix = "Does this port serve https? Does the upstream require a client certificate (client_cert_file)?"
        return fail(name, f"The TLS handshake with {address} fails.", fix)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError, an invalid host name a UnicodeError
        reason = error.strerror if isinstance(error, OSError) else None
        why = "timeout" if isinstance(error, TimeoutError) else reason or type(error).__name__
        fix = "Is the API running, and reachable from this machine? Fix the route's upstream, or the network."
        return fail(name, f"{address} does not accept connections ({why}).", fix)
    writer.transport.abort()  # nothing was sent, so there is no orderly TLS shutdown to wait for
    return ok(name, f"{address} accepts connections")


async def public_url(settings: Settings) -> CheckResult:
    """Requests `/auth/session` at the public URL without cookies, and checks that this BFF answers."""
    url, name = f"{settings.browser.public_url}/auth/session", "public_url"
    http = HttpClient()
    try:
        answer = await http.send("GET", url, within=ANSWER_TIMEOUT, limit=MAX_RESPONSE_BYTES)
    finally:
        await http.close()
    if isinstance(answer, NoAnswer):
        fix = "Run this again once `bff serve` is up behind its proxy, from where the public URL can be reached."
        return skipped(name, f"{settings.browser.public_url} does not answer from here ({answer.why})", fix)
    if not _is_a_session(answer.body) or answer.status != 200:
        fix = (
            f"Configure the proxy of {settings.browser.public_url} to forward /auth/ and "
            f"{settings.browser.callback_path} unchanged to this BFF, ahead of any rule that serves the SPA for every "
            "path."
        )
        return fail(name, f"{url} answers {answer.status}, and this BFF did not send that response.", fix)
    if "no-store" not in answer.headers.get("cache-control", ""):
        fix = "Configure the proxy to pass Cache-Control on, and to exclude /auth/ and /api from its caches."
        return fail(name, f"{url} answers without Cache-Control: no-store.", fix)
    return ok(name, f"the BFF answers at {url}")


def _is_a_session(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and isinstance(document.get("authenticated"), bool)
