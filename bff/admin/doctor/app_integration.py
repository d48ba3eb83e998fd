"""The app integration at Okta: rotation, the access policy, and all differences of `bff okta plan`.

With Management API credentials these checks reuse the plan. Without them little is observable from outside, and each
check names what to verify manually.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.okta.app_properties import CLIENT
from bff.admin.okta.difference import Difference
from bff.admin.okta.provision import Plan
from bff.config.settings import Settings
from bff.oidc.token import Denied, TokenResult

# Differences that break neither sign-in nor the two promises.
_HARMLESS: Final = frozenset(
    {"label", "client_uri", "trusted_origin", "participate_slo"}
    | {"frontchannel_logout_uri", "frontchannel_logout_session_required"}
)
_ROTATION: Final = ("refresh_token_rotation", "refresh_token_leeway")
_TOKEN: Final = "set BFF_OKTA_API_TOKEN_FILE (`bff docs okta`) and run this command again"
_POLICIES: Final = "Security > API > Authorization Servers > this server > Access Policies"


def with_plan(planned: Plan, settings: Settings, answers: Sequence[TokenResult]) -> list[CheckResult]:
    """`answers` are the token endpoint's responses, one per secret or key."""
    differences, app = planned.findings.differences, planned.view.app
    policy = [difference for difference in differences if difference.part == "access_policy"]
    rotation = [difference for difference in differences if difference.name in _ROTATION]
    rest = [difference for difference in differences if difference not in policy and difference not in rotation]
    results = [_difference(f"okta.{difference.name}", difference) for difference in rest]
    if not rest and app is not None:
        results = [ok("okta", f"the app integration {app.get('label')!r} matches the settings")]
    unreadable = planned.view.policies.unreadable if planned.view.policies else ""
    policy_results = [_difference("access_policy", difference) for difference in policy]
    if not policy_results:
        policy_results = [policy_without_api(settings, answers)] if unreadable else [_policy(settings, answers)]
    notes = [ok("okta.note", note) for note in planned.findings.notes]
    return [*policy_results, *_rotation(planned, settings, rotation), *results, *notes]


def _difference(name: str, difference: Difference) -> CheckResult:
    observed = f"{difference.why} Actual: {_value(difference.actual)}. Expected: {_value(difference.expected)}."
    return (
        warn(name, observed, _sentence(difference.fix))
        if _is_harmless(difference)
        else fail(name, observed, _sentence(difference.fix))
    )


def _is_harmless(difference: Difference) -> bool:
    """An Okta grace period longer than BFF_REFRESH_GRACE is safe; a shorter one makes Okta treat a resend as reuse."""
    longer = (
        difference.name == "refresh_token_leeway"
        and isinstance(difference.actual, int)
        and difference.actual > difference.expected
    )
    return longer or difference.name in _HARMLESS


def _value(value: object) -> str:
    match value:
        case None:
            return "(nothing)"
        case list():
            return ", ".join(_value(item) for item in value) or "(nothing)"
        case {"kid": kid}:
            return f"key {kid}"
        case _:
            return str(value)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def _rotation(planned: Plan, settings: Settings, differing: Sequence[Difference]) -> list[CheckResult]:
    if planned.view.app is None:
        return []
    if "offline_access" not in settings.provider.scopes:
        return [_no_refresh()]
    if differing:
        return [_difference(difference.name, difference) for difference in differing]
    refresh_token = planned.view.app.get(CLIENT[0], {}).get(CLIENT[1], {}).get("refresh_token") or {}
    grace = refresh_token.get("leeway", settings.refresh.grace)
    return [ok("rotation", f"after every use, grace period {grace} s (BFF_REFRESH_GRACE)")]


def _no_refresh() -> CheckResult:
    fix = "Add offline_access to BFF_SCOPES, unless users are meant to sign in again whenever the access token expires."
    return warn("rotation", "BFF_SCOPES does not include offline_access: there are no refresh tokens.", fix)


def _perhaps_no_refresh() -> CheckResult:
    fix = (
        "Sign in once: /readyz says whether a refresh token was given. If none was, add offline_access to BFF_SCOPES, "
        "unless users are meant to sign in again whenever the access token expires."
    )
    observed = "BFF_SCOPES does not include offline_access: few providers give a refresh token without it."
    return warn("rotation", observed, fix)


def without_api(settings: Settings, answers: Sequence[TokenResult]) -> list[CheckResult]:
    """The checks that need no Management API."""
    if "offline_access" not in settings.provider.scopes:
        rotation = _no_refresh()
    else:
        manual = (
            "Applications > this app > General > Refresh Token: Rotate token after every use, grace period "
            f"{settings.refresh.grace} seconds (BFF_REFRESH_GRACE; Terraform leaves it at 0); or {_TOKEN}."
        )
        rotation = skipped("rotation", "no Management API credentials are configured", manual)
    rest = (
        f"Verify manually: Sign-out redirect URI {settings.browser.post_logout_redirect_uri}, Initiate login URI "
        f"{settings.browser.public_url}/auth/login, groups under Assignments, Require PKCE; or {_TOKEN}."
    )
    app = skipped("okta", "no Management API credentials are configured", rest)
    return [policy_without_api(settings, answers), rotation, app]


def elsewhere(settings: Settings) -> list[CheckResult]:
    """What cannot be seen from outside at a provider without Okta's Management API."""
    manual = f"Set BFF_REFRESH_GRACE ({settings.refresh.grace} s) to the provider's own period (`bff docs providers`)."
    rotation = (
        skipped("rotation", "how long a rotated refresh token stays valid is not published", manual)
        if "offline_access" in settings.provider.scopes
        else _perhaps_no_refresh()
    )
    rest = (
        f"Verify there: post-logout redirect URI {settings.browser.post_logout_redirect_uri}, back-channel logout URI "
        f"{settings.browser.backchannel_logout_uri}, the grant type refresh_token, PKCE required."
    )
    return [rotation, skipped("client_registration", "the client's registration cannot be read", rest)]


def policy_without_api(settings: Settings, answers: Sequence[TokenResult]) -> CheckResult:
    """Okta evaluates the policy before the token only in some cases, so the absence of access_denied proves nothing."""
    known = _policy(settings, answers)
    if known.status == "fail" or not _custom_server(settings):
        return known
    fix = (
        f"{_POLICIES}: there must be a policy for this client, with a rule that has Authorization Code; without it "
        f"sign-ins fail with access_denied (no_matching_policy). Or {_TOKEN}."
    )
    return skipped("access_policy", "the policy cannot be checked from here", fix)


def _policy(settings: Settings, answers: Sequence[TokenResult]) -> CheckResult:
    if not _custom_server(settings):
        return ok("access_policy", "none needed: the org authorization server has fixed policies")
    if any(isinstance(answer, Denied) and answer.error == "access_denied" for answer in answers):
        observed = "The token endpoint answers access_denied: no access policy allows this client (no_matching_policy)."
        fix = f"{_POLICIES} > Add Policy for this client, Add Rule with Authorization Code; `bff okta apply` does it."
        return fail("access_policy", observed, fix)
    return ok("access_policy", "a policy and a rule allow this client's users to sign in")


def _custom_server(settings: Settings) -> bool:
    return urlsplit(settings.provider.issuer).path.startswith("/oauth2/")
