"""The discovery document, its issuer, and the clock skew between this machine and the provider.

The running BFF only rejects an invalid document; this check also suggests the fix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.doctor.provider_words import fix_at
from bff.config.settings import Settings
from bff.oidc.metadata import (
    MAX_METADATA_BYTES,
    MetadataRefused,
    ProviderMetadata,
    discovery_url,
    endpoints_elsewhere,
    parse_metadata,
)
from bff.oidc.strict_json import JsonRefused, read_object
from bff.oidc.token import NoAnswer
from bff.provider.connections import ProviderClient
from bff.provider.discovery import with_configured_endpoints
from bff.provider.response import HttpResponse

CLOCK_WARNING: Final = 10.0  # seconds of skew that are reported; `Date` has a resolution of one second
_SERVERS: Final = "Security > API > Authorization Servers"
_WAY: Final = (
    "Check BFF_ISSUER, DNS and the firewall; BFF_PROVIDER_PROXY if there is an outbound proxy, and "
    "BFF_PROVIDER_ADDRESSES if the provider has another address in this network"
)


@dataclass(frozen=True, slots=True)
class Discovered:
    """`metadata` is None when the document is unusable; `fields` is the document as received."""

    findings: tuple[CheckResult, ...]
    metadata: ProviderMetadata | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


async def discover(http: ProviderClient, settings: Settings, clock: Callable[[], float]) -> Discovered:
    """`clock` is in seconds since the epoch."""
    url = discovery_url(settings.provider.issuer)
    before = clock()
    answer = await http.send("GET", url, within=settings.provider.transport.timeout, limit=MAX_METADATA_BYTES)
    now = (before + clock()) / 2
    if isinstance(answer, NoAnswer):
        return Discovered((unreachable("metadata", url, answer.why),))
    time = _clock(answer, now, settings.provider.clock_skew)
    try:
        fields = read_object(answer.body, max_bytes=MAX_METADATA_BYTES) if answer.status == 200 else {}
    except JsonRefused:
        fields = {}
    if not isinstance(named := fields.get("issuer"), str):
        return Discovered((_no_document(settings, answer, url), time))
    if named != settings.provider.issuer:
        return Discovered((_another_issuer(settings, named), time))
    try:
        document = parse_metadata(answer.body, settings.provider.issuer)
    except MetadataRefused as refused:
        fix = (
            "Is this an OpenID Provider with the authorization code flow? An outbound proxy may also have changed the "
            "document."
        )
        return Discovered((fail("metadata", str(refused), fix), time))
    metadata = with_configured_endpoints(document, settings.provider.transport.endpoints)
    findings = (
        _members(metadata, f"{url}: {_kind(settings)}"),
        _endpoints(settings, metadata),
        await _issuer_for_client(http, settings, url),
        time,
    )
    return Discovered(findings, metadata, fields)


def _members(metadata: ProviderMetadata, observed: str) -> CheckResult:
    if not metadata.ignored:
        return ok("metadata", observed)
    fix = "What depends on them is off until the provider corrects its document."
    return warn("metadata", f"{observed}. These members count as absent: {' '.join(metadata.ignored)}", fix)


def _endpoints(settings: Settings, metadata: ProviderMetadata) -> CheckResult:
    elsewhere = endpoints_elsewhere(metadata)
    if not elsewhere:
        return ok("endpoints", f"all at {urlsplit(metadata.issuer).hostname}")
    hosts = ", ".join(f"{name} at {host}" for name, host in elsewhere.items())
    compare = "Compare with the provider's documentation: the client secret is sent there."
    fix = fix_at(settings, okta=f"{compare} Okta's endpoints share one host.", elsewhere=compare)
    return warn("endpoints", f"On another host than the issuer: {hosts}.", fix)


def unreachable(name: str, url: str, why: str) -> CheckResult:
    if "SSL" in why or "Certificate" in why:
        fix = "Its certificate is not trusted here: set BFF_PROVIDER_CA_FILE to the CA of the proxy that re-signs TLS."
        return fail(name, f"{url} cannot be reached ({why}).", fix)
    return fail(name, f"{url} cannot be reached ({why}).", f"{_WAY}.")


def _no_document(settings: Settings, answer: HttpResponse, url: str) -> CheckResult:
    observed = f"{url} answers {answer.status} without a discovery document."
    if answer.status == 404:
        fix = fix_at(
            settings,
            okta="The org has no such authorization server: take the issuer from "
            f"{_SERVERS}, or use the org's address.",
            elsewhere="There is no such issuer at this host: take it from the provider's console or documentation; its "
            "realm, tenant or application is part of it.",
        )
    elif 300 <= answer.status < 400:
        fix = "BFF_ISSUER must be the issuer itself, not an address that redirects to it."
    elif answer.status >= 500 or answer.status == 429:
        fix = fix_at(
            settings,
            okta="The provider has an outage (see status.okta.com); run this command again later.",
            elsewhere="The provider has an outage; run this command again later.",
        )
    else:
        host = urlsplit(settings.provider.issuer).netloc
        fix = fix_at(settings, okta=f"{_WAY}; is {host} the Okta domain without -admin?", elsewhere=f"{_WAY}.")
    return fail("metadata", observed, fix)


def _another_issuer(settings: Settings, named: str) -> CheckResult:
    """Compared character by character (OIDC Discovery section 4.3)."""
    configured = settings.provider.issuer
    observed = f"The provider names itself {named[:300]}, and BFF_ISSUER is {configured}."
    theirs, ours = named.rstrip("/"), configured.rstrip("/")
    if theirs == ours:
        return fail("issuer", observed, f"Set BFF_ISSUER to exactly {named[:300]}: the trailing slash is significant.")
    if settings.provider.at_okta and _path(theirs) == _path(ours):
        fix = (
            f"Set BFF_ISSUER to {named[:300]} (a custom domain, or the org's own), or change the issuer: {_SERVERS} > "
            "this server > Settings > Issuer. Users with sessions of the old issuer sign in again."
        )
        return fail("issuer", observed, fix)
    return fail("issuer", observed, f"Set BFF_ISSUER to {named[:300]}, if that is the intended provider.")


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


async def _issuer_for_client(http: ProviderClient, settings: Settings, url: str) -> CheckResult:
    """Okta's metadata for a client_id names the issuer of that app's ID tokens: an app has its own issuer mode.

    Other providers ignore the parameter.
    """
    asked = f"{url}?client_id={quote(settings.provider.client_id, safe='')}"
    answer = await http.send("GET", asked, within=settings.provider.transport.timeout, limit=MAX_METADATA_BYTES)
    named = None
    if isinstance(answer, HttpResponse) and answer.status == 200:
        try:
            named = read_object(answer.body, max_bytes=MAX_METADATA_BYTES).get("issuer")
        except JsonRefused:
            named = None
    if isinstance(named, str) and named != settings.provider.issuer:
        observed = (
            f"For this app the provider uses the issuer {named[:300]}, and BFF_ISSUER is {settings.provider.issuer}."
        )
        fix = fix_at(
            settings,
            okta="Applications > this app > Sign On > OpenID Connect ID Token > Issuer: the one of BFF_ISSUER, or "
            f"Dynamic; or set BFF_ISSUER to {named[:300]}.",
            elsewhere=f"Set BFF_ISSUER to {named[:300]}, if this client's tokens name it.",
        )
        return fail("issuer", observed, fix)
    if settings.provider.at_okta and isinstance(answer, HttpResponse) and answer.status == 400:
        fix = (
            "Fix BFF_CLIENT_ID (General > Client Credentials) or BFF_ISSUER: is it the right org, and is the app "
            "active?"
        )
        return fail("issuer", f"The provider does not know the client {settings.provider.client_id}.", fix)
    return ok("issuer", settings.provider.issuer)


def _kind(settings: Settings) -> str:
    path = urlsplit(settings.provider.issuer).path
    if not settings.provider.at_okta:
        return "an OpenID Provider"
    if path.startswith("/oauth2/"):
        return f"custom authorization server {path.removeprefix('/oauth2/')}"
    return "the org's own authorization server" if not path else "an authorization server"


def _clock(answer: HttpResponse, now: float, allowed: int) -> CheckResult:
    """`Date` is when the response was generated; a cache adds its `Age` (RFC 9111 section 5.1)."""
    try:
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp() + float(answer.headers.get("age", "0"))
    except (KeyError, ValueError, TypeError):
        why = "The provider's responses have no Date header."
        fix = "Compare this machine's clock manually (`timedatectl`)."
        return skipped("clock", why, fix)
    ahead = now - theirs
    observed = f"This machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the provider's"
    fix = "Set the clock by NTP (`timedatectl set-ntp true`, chrony); in a virtual machine also after a suspend."
    if abs(ahead) > allowed:
        return fail("clock", f"{observed}, more than BFF_CLOCK_SKEW ({allowed} s): ID tokens are rejected.", fix)
    if abs(ahead) > CLOCK_WARNING:
        return warn("clock", f"{observed}.", fix)
    return ok("clock", f"within {max(1.0, abs(ahead)):.0f} s of the provider's")
