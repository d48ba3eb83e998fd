"""Whether the provider offers refresh tokens, as far as its metadata says. What this client gets, a sign-in shows."""

from collections.abc import Mapping
from typing import Any, Final

from bff.admin.doctor.check_result import CheckResult, fail, ok, skipped, warn
from bff.admin.doctor.provider_words import fix_at
from bff.config.settings import Settings

_NAME: Final = "offline_access"


def check_offline_access(settings: Settings, fields: Mapping[str, Any]) -> CheckResult:
    """`fields` is the discovery document as received."""
    if "offline_access" not in settings.provider.scopes:
        return skipped(
            _NAME, "BFF_SCOPES does not include offline_access", "Nothing, if that is intended: see rotation."
        )
    if _lacks(fields.get("grant_types_supported"), "refresh_token"):
        fix = fix_at(
            settings,
            okta="Security > API > Authorization Servers > this server > Access Policies: allow the grant type "
            "Refresh Token.",
            elsewhere="Have the provider allow the grant type refresh_token, or take offline_access out of BFF_SCOPES: "
            "sessions then end with their access token.",
        )
        return fail(_NAME, "The provider does not offer the grant type refresh_token: sessions cannot be renewed.", fix)
    if _lacks(fields.get("scopes_supported"), "offline_access"):
        fix = "Sign in once: /readyz and the log say whether a refresh token was given (`bff docs providers`)."
        return warn(_NAME, "The provider does not list the scope offline_access: it may give no refresh token.", fix)
    if settings.provider.at_okta or "consent" in settings.sign_in.default_prompt:
        return ok(_NAME, "offered")
    return ok(_NAME, "offered; a provider that gives it only with consent needs BFF_PROMPT=consent")


def _lacks(listed: Any, word: str) -> bool:
    """Whether a list of the metadata is there, usable, and without `word`."""
    return (
        isinstance(listed, list)
        and bool(listed)
        and all(isinstance(entry, str) for entry in listed)
        and word not in listed
    )
