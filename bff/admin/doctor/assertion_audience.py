"""Which audience of a client assertion each endpoint accepts: providers disagree, and a refused one costs a request.

Every audience is tried at the token and the revocation endpoint with a token that does not exist: no session is
affected.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, get_args

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.okta.client_secrets import NO_TOKEN, classify
from bff.config.settings import Settings
from bff.oidc.client_auth import Audience, ClientAuthentication
from bff.oidc.dpop import new_dpop_key
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import Revoked
from bff.provider.client import HttpProvider
from bff.provider.open import client_auth, open_provider

NAME: Final = "client_assertion_audience"
AUDIENCES: Final[tuple[Audience, ...]] = get_args(Audience)


async def check_assertion_audience(settings: Settings, metadata: ProviderMetadata) -> list[CheckResult]:
    """Empty for a method without assertions. Raises ConfigurationError when a key or CA file is unusable."""
    authentication = client_auth(settings.provider)
    if not authentication.uses_assertions:
        return []
    accepted: dict[str, list[Audience]] = {"token endpoint": [], "revocation endpoint": []}
    for audience in AUDIENCES:
        provider = open_provider(settings)
        provider.replace_client_auth(replace(authentication, audiences=(audience,)))
        try:
            if await _accepted_for_refresh(provider, settings):
                accepted["token endpoint"].append(audience)
            if await _accepted_for_revocation(provider, settings):
                accepted["revocation endpoint"].append(audience)
        finally:
            await provider.close()
    if metadata.revocation_endpoint is None:
        del accepted["revocation endpoint"]
    return [_result(settings, authentication, accepted)]


async def _accepted_for_refresh(provider: HttpProvider, settings: Settings) -> bool:
    dpop_key = new_dpop_key() if settings.provider.uses_dpop else None
    answer = await provider.refresh(NO_TOKEN, timeout=settings.provider.transport.timeout, dpop_key=dpop_key)
    return classify(answer, okta=settings.provider.at_okta) == "accepted"


async def _accepted_for_revocation(provider: HttpProvider, settings: Settings) -> bool:
    """A provider confirms the revocation of an unknown token (RFC 7009 section 2.2)."""
    answer = await provider.revoke(NO_TOKEN, "refresh_token", within=settings.provider.transport.timeout)
    return isinstance(answer, Revoked)


def _result(
    settings: Settings, authentication: ClientAuthentication, accepted: Mapping[str, list[Audience]]
) -> CheckResult:
    configured = settings.provider.client_assertion_audience
    if not any(accepted.values()):
        why = "no endpoint shows that it accepts any audience"
        return skipped(NAME, why, "Fix the client's authentication first, then run this command again.")
    observed = "; ".join(f"the {where} accepts {', '.join(those) or 'none'}" for where, those in accepted.items())
    tried = authentication.audiences
    refused = [where for where, those in accepted.items() if those and not set(tried) & set(those)]
    everywhere = [audience for audience in AUDIENCES if all(audience in those for those in accepted.values())]
    advice = f"Set BFF_CLIENT_ASSERTION_AUDIENCE to {everywhere[0]}" if everywhere else "Set it to auto"
    if refused:
        problem = f"BFF_CLIENT_ASSERTION_AUDIENCE is {configured}, which the {' and the '.join(refused)} refuses"
        return fail(NAME, f"{problem}: {observed}.", f"{advice}.")
    repeats = [where for where, those in accepted.items() if those and tried[0] not in those]
    if repeats:
        problem = f"The first request of each process to the {' and the '.join(repeats)} is refused and repeated"
        return warn(NAME, f"{problem}: {observed}.", f"{advice}." if everywhere else "Nothing else works at both.")
    return ok(NAME, observed)
