"""Checks client authentication for every configured secret or key, with a refresh request that cannot succeed.

The refresh token does not exist, so no session is affected: `invalid_grant` means that authentication succeeded, 401 or
`invalid_client` that it failed. Other errors may point to a wrong grant type or DPoP setting, which is reported too.
"""

from dataclasses import dataclass, replace

from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.admin.doctor.provider_words import fix_at
from bff.admin.okta.client_secrets import NO_TOKEN, classify
from bff.config.settings import Settings
from bff.oidc.client_auth import Candidate, ClientAuthentication
from bff.oidc.dpop import ES256, new_dpop_key, proof_algorithm
from bff.oidc.metadata import ProviderMetadata
from bff.oidc.token import Denied, NoAnswer, TokenResult
from bff.provider.open import client_auth, open_provider


@dataclass(frozen=True, slots=True)
class CredentialsCheck:
    """`accepted` is None when no response decided it. `answers` are the responses for every secret or key, in order."""

    findings: tuple[CheckResult, ...]
    accepted: bool | None
    answers: tuple[TokenResult, ...]


async def check_credentials(settings: Settings, metadata: ProviderMetadata) -> CredentialsCheck:
    """Raises ConfigurationError when a key or CA file is unusable."""
    proof = client_auth(settings.provider)
    answers = tuple([await _refresh_as(settings, proof, candidate) for candidate in proof.candidates])
    verdicts = [classify(answer, okta=settings.provider.at_okta) for answer in answers]
    accepted = True if "accepted" in verdicts else False if set(verdicts) == {"refused"} else None
    findings = [
        _verdict(settings, metadata, name, verdict, answer, others_work=accepted is True)
        for name, verdict, answer in zip(_names(settings, proof), verdicts, answers, strict=True)
    ]
    return CredentialsCheck((*findings, *_other_refusals(settings, answers)), accepted, answers)


async def _refresh_as(settings: Settings, proof: ClientAuthentication, candidate: Candidate) -> TokenResult:
    provider = open_provider(settings)
    provider.replace_client_auth(replace(proof, candidates=(candidate,)))
    try:
        alg = proof_algorithm((await provider.metadata()).dpop_signing_alg_values_supported) or ES256
        dpop_key = new_dpop_key(alg) if settings.provider.uses_dpop else None
        return await provider.refresh(NO_TOKEN, timeout=settings.provider.transport.timeout, dpop_key=dpop_key)
    finally:
        await provider.close()


def _names(settings: Settings, proof: ClientAuthentication) -> list[str]:
    if proof.method == "private_key_jwt":
        return ["client_private_key"]
    secrets = {
        "client_secret": settings.provider.client_secret,
        "client_secret_next": settings.provider.client_secret_next,
    }
    return [name for name, secret in secrets.items() if secret is not None]


def _verdict(
    settings: Settings, metadata: ProviderMetadata, name: str, verdict: str, answer: TokenResult, *, others_work: bool
) -> CheckResult:
    called = f"BFF_{name.upper()}"
    if verdict == "accepted":
        return ok(name, f"the token endpoint accepts {called} ({settings.provider.client_auth})")
    if verdict == "unknown":
        return _not_shown(settings, name, answer)
    error = f"{answer.status} {answer.error}" if isinstance(answer, Denied) else "invalid_client"
    observed = f"The token endpoint rejects {called} of client {settings.provider.client_id} ({error})."
    if others_work:
        other = "The other secret is accepted. Remove this one"
        fix = fix_at(
            settings, okta=f"{other}; `bff okta rotate-secret` creates a new second one.", elsewhere=f"{other}."
        )
        return warn(name, observed, fix)
    if name == "client_private_key":
        fix = fix_at(
            settings,
            okta="Compare the public half and kid with General > Client Credentials > Public keys (`bff okta apply` "
            "registers it), and set BFF_CLIENT_KEY_ID if the app has more than one key. Is the clock right?",
            elsewhere="Compare the public half and kid with the keys that are registered for this client, and set "
            "BFF_CLIENT_KEY_ID if it has more than one. Is the clock right, and the audience of the assertion "
            "accepted (BFF_CLIENT_ASSERTION_AUDIENCE)?",
        )
        return fail(name, observed, fix)
    methods = metadata.token_endpoint_auth_methods_supported
    method = settings.provider.client_auth
    fix = fix_at(
        settings,
        okta="Applications > this app > General > Client Credentials: is it this client ID, is the secret active, is "
        f"the client authentication the method of BFF_CLIENT_AUTH ({method}), and is the app active? `bff okta apply` "
        "writes an active secret.",
        elsewhere="Compare the client ID, the secret and the registered authentication method "
        f"(token_endpoint_auth_method) with BFF_CLIENT_AUTH ({method}); is the client confidential, and active?",
    )
    if settings.provider.client_auth not in methods:
        fix = f"The provider offers {' '.join(methods)[:200]}: set BFF_CLIENT_AUTH to one of them. {fix}"
    return fail(name, observed, fix)


def _not_shown(settings: Settings, name: str, answer: TokenResult) -> CheckResult:
    """Another error than `invalid_grant` may come before or after client authentication."""
    readable = isinstance(answer, Denied) and answer.has_code
    why = answer.why if isinstance(answer, NoAnswer) else getattr(answer, "error", "rate limited")
    observed = f"The response of the token endpoint does not show whether it accepts BFF_{name.upper()} ({why})."
    if readable:
        return warn(name, observed, "Sign in once: the log says whether the client is rejected.")
    again = "Run this command again; if it persists, check BFF_PROVIDER_PROXY"
    return fail(name, observed, fix_at(settings, okta=f"{again} and status.okta.com.", elsewhere=f"{again}."))


def _other_refusals(settings: Settings, answers: tuple[TokenResult, ...]) -> list[CheckResult]:
    """An authenticated client may still lack the refresh token grant, or be required to send DPoP proofs."""
    errors = {answer.error for answer in answers if isinstance(answer, Denied)}
    results = []
    if errors & {"unauthorized_client", "unsupported_grant_type"} and "offline_access" in settings.provider.scopes:
        fix = fix_at(
            settings,
            okta="Applications > this app > General > Grant type: tick Refresh Token (`bff okta apply` does it).",
            elsewhere="Allow the grant type refresh_token for this client.",
        )
        results.append(
            fail(
                "grant_types",
                "The client may not use refresh tokens: sessions end with their access token.",
                fix,
            )
        )
    if errors & {"use_dpop_nonce", "invalid_dpop_proof"} and settings.provider.dpop == "off":
        fix = fix_at(
            settings,
            okta="Applications > this app > General > Proof of possession: off (`bff okta apply` does it).",
            elsewhere="Set BFF_DPOP to on, or do not require DPoP of this client (dpop_bound_access_tokens).",
        )
        results.append(fail("proof_of_possession", "The client must send DPoP proofs, and BFF_DPOP is off.", fix))
    return results
