"""Fixes in the words of the provider: the places of Okta's Admin Console at Okta, the terms of OAuth elsewhere."""

from bff.config.settings import Settings


def fix_at(settings: Settings, *, okta: str, elsewhere: str) -> str:
    """`okta` if the provider is Okta."""
    return okta if settings.provider.at_okta else elsewhere
