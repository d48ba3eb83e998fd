"""The provider's capabilities compared with the settings: signing algorithms and keys, PKCE, pushed authorization
requests.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.admin.doctor.metadata import unreachable
from bff.admin.doctor.provider_words import fix_at
from bff.config.advice import org_server_tokens
from bff.config.settings import Settings
from bff.oidc.jwks import MAX_JWKS_BYTES, KeySetRefused, parse_key_set
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import NoAnswer
from bff.provider.connections import ProviderClient

ORG_TOKEN_ENDPOINT: Final = "/oauth2/v1/token"


async def keys(http: ProviderClient, settings: Settings, metadata: ProviderMetadata) -> CheckResult:
    url = metadata.jwks_uri
    answer = await http.send("GET", url, within=settings.provider.transport.timeout, limit=MAX_JWKS_BYTES)
    if isinstance(answer, NoAnswer):
        return unreachable("keys", url, answer.why)
    if answer.status != 200:
        fix = (
            "The provider's keys must be reachable, or no ID token can be verified: is an outbound proxy blocking them?"
        )
        return fail("keys", f"{url} answers {answer.status}.", fix)
    try:
        key_set = parse_key_set(answer.body)
    except KeySetRefused as refused:
        if refused.private:
            return _private(url, refused.private)
        fix = "The provider must publish RSA keys of 2048 bits or more, EC or Ed25519 keys, for signatures."
        return fail("keys", f"{url}: {refused}", fix)
    if key_set.private:
        return _private(url, key_set.private)
    accepted = settings.provider.id_token_algorithms
    usable = [alg for alg in accepted if any(alg in key.algorithms for key in key_set.keys)]
    offered = metadata.id_token_signing_alg_values_supported
    if not usable or not set(accepted) & set(offered):
        observed = f"BFF_ID_TOKEN_ALGORITHMS is {' '.join(accepted)}, the provider signs with {' '.join(offered)[:200]}"
        return fail("keys", f"{observed}.", "Set BFF_ID_TOKEN_ALGORITHMS to what the provider signs with.")
    return ok("keys", f"{len(key_set.keys)} at {url}, usable for {' '.join(usable)}")


def _private(url: str, count: int) -> CheckResult:
    fix = (
        "Report it to the provider: anyone who reads the document can sign with such a key. The BFF uses none of them."
    )
    return fail("keys", f"{url} publishes {count} private or symmetric key(s).", fix)


def access_tokens(settings: Settings, metadata: ProviderMetadata) -> CheckResult:
    """Whether APIs can validate the access tokens: those of an Okta org's own server are for Okta's APIs alone.

    An org with a custom domain is recognised by its token endpoint.
    """
    issuer = urlsplit(metadata.issuer)
    if issuer.path or urlsplit(metadata.token_endpoint).path != ORG_TOKEN_ENDPOINT:
        return ok("access_tokens", f"issued by {metadata.issuer}")
    if not org_server_tokens(settings):
        return ok("access_tokens", "no route sends one")
    custom = f"Set BFF_ISSUER to a custom authorization server, like {metadata.issuer}/oauth2/default"
    return warn(
        "access_tokens",
        "BFF_ISSUER is the org authorization server, and a route sends its access tokens: APIs cannot validate them.",
        f"{custom}, or give the routes an identity assertion.",
    )


def pkce(fields: Mapping[str, Any]) -> CheckResult:
    """A provider that lists methods without S256 was rejected with its metadata."""
    if fields.get("code_challenge_methods_supported") is None:
        fix = "Check in its documentation that it verifies S256 (RFC 7636), as the BFF always sends it."
        return warn("pkce", "The provider does not state whether it supports PKCE.", fix)
    return ok("pkce", "S256")


def pushed_requests(settings: Settings, metadata: ProviderMetadata) -> CheckResult:
    """Compares settings and metadata only; `bff.admin.doctor.redirect_uri` checks that a push is accepted."""
    offered = metadata.pushed_authorization_request_endpoint is not None
    required = metadata.require_pushed_authorization_requests
    if settings.sign_in.par == "required" and not offered:
        fix = fix_at(
            settings,
            okta="Set BFF_PAR to auto, or have the feature enabled in the org (Okta has it on Identity Engine).",
            elsewhere="Set BFF_PAR to auto, or have the provider offer pushed authorization requests (RFC 9126).",
        )
        return fail("par", "BFF_PAR is required, and the provider has no pushed authorization request endpoint.", fix)
    if settings.sign_in.par == "never" and required:
        fix = "Set BFF_PAR to auto: this provider requires pushed authorization requests."
        return fail("par", "BFF_PAR is never, and the provider requires pushed authorization requests.", fix)
    if settings.sign_in.par == "never":
        return ok("par", "not used, because BFF_PAR is never")
    return ok("par", "offered and used" if offered else "not offered: the browser carries the whole request")
