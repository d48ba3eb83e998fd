"""Which audience of a client assertion each endpoint accepts: providers disagree, and a refused one costs a request.

Every audience is tried at the token and the revocation endpoint with a token that does not exist: no session is
affected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, get_args

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.okta.client_secrets import NO_TOKEN, Verdict, classify
from bff.config.settings import Settings
from bff.oidc.client_auth import Audience
from bff.oidc.dpop import new_dpop_key
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import NotRevoked, Revoked
from bff.provider.client import HttpProvider
from bff.provider.open import client_auth, open_provider

NAME: Final = "client_assertion_audience"
AUDIENCES: Final[tuple[Audience, ...]] = get_args(Audience)


async def check_assertion_audience(settings: Settings, metadata: ProviderMetadata) -> list[CheckResult]:
    """Empty for a method without assertions. Raises ConfigurationError when a key or CA file is unusable."""
    authentication = client_auth(settings.provider)
    if not authentication.uses_assertions:
        return []
    verdicts: dict[str, dict[Audience, Verdict]] = {"token endpoint": {}, "revocation endpoint": {}}
    for audience in AUDIENCES:
        provider = open_provider(settings)
        provider.replace_client_auth(replace(authentication, audiences=(audience,)))
        try:
            verdicts["token endpoint"][audience] = await _at_token_endpoint(provider, settings)
            verdicts["revocation endpoint"][audience] = await _at_revocation_endpoint(provider, settings)
        finally:
            await provider.close()
    if metadata.revocation_endpoint is None:
        del verdicts["revocation endpoint"]
    return [_result(settings, authentication.audiences, verdicts)]


async def _at_token_endpoint(provider: HttpProvider, settings: Settings) -> Verdict:
    dpop_key = new_dpop_key() if settings.provider.uses_dpop else None
    answer = await provider.refresh(NO_TOKEN, timeout=settings.provider.transport.timeout, dpop_key=dpop_key)
    return classify(answer, okta=settings.provider.at_okta)


async def _at_revocation_endpoint(provider: HttpProvider, settings: Settings) -> Verdict:
    """A provider confirms the revocation of an unknown token (RFC 7009 section 2.2)."""
    match await provider.revoke(NO_TOKEN, "refresh_token", within=settings.provider.transport.timeout):
        case Revoked():
            return "accepted"
        case NotRevoked(client_refused=True):
            return "refused"
        case NotRevoked():
            return "unknown"


def _result(
    settings: Settings, tried: Sequence[Audience], verdicts: Mapping[str, Mapping[Audience, Verdict]]
) -> CheckResult:
    """`tried`: the audiences in the order in which the BFF tries them."""
    accepted = {
        where: [audience for audience in AUDIENCES if at[audience] == "accepted"] for where, at in verdicts.items()
    }
    if not any(accepted.values()):
        why = "no endpoint shows that it accepts any audience"
        return skipped(NAME, why, "Fix the client's authentication first, then run this command again.")
    observed = "; ".join(f"the {where} accepts {', '.join(those) or 'none'}" for where, those in accepted.items())
    everywhere = [audience for audience in AUDIENCES if all(audience in those for those in accepted.values())]
    advice = f"Set BFF_CLIENT_ASSERTION_AUDIENCE to {everywhere[0]}." if everywhere else "Set it to auto."
    decisive = {where: _first_decisive(tried, at) for where, at in verdicts.items() if accepted[where]}
    failing = [where for where, audience in decisive.items() if audience not in accepted[where]]
    if failing:
        configured = settings.provider.client_assertion_audience
        problem = f"BFF_CLIENT_ASSERTION_AUDIENCE is {configured}, which fails at the {' and the '.join(failing)}"
        return fail(NAME, f"{problem}: {observed}.", advice)
    repeating = [where for where, audience in decisive.items() if audience != tried[0]]
    if repeating:
        problem = f"The first request of each process to the {' and the '.join(repeating)} is refused and repeated"
        return warn(NAME, f"{problem}: {observed}.", advice if everywhere else "Nothing else works at both.")
    return ok(NAME, observed)


def _first_decisive(tried: Sequence[Audience], at: Mapping[Audience, Verdict]) -> Audience:
    """The audience whose response counts: only a refusal of the client is followed by another try."""
    return next((audience for audience in tried if at[audience] != "refused"), tried[-1])
