"""Our public keys that the settings imply. A further feature with keys adds its own here."""

from collections.abc import Mapping

from bff.config.provider import ProviderSettings
from bff.config.settings import Settings
from bff.oidc.public_jwk import public_members, thumbprint
from bff.oidc.published_keys import PublicJwk
from bff.provider.open import client_auth


def public_keys(settings: Settings) -> Mapping[str, tuple[PublicJwk, ...]]:
    """The keys to publish, by feature; without any there is no document. Raises ConfigurationError."""
    signing = client_public_key(settings.provider)
    decryption = settings.provider.encryption.decryption
    assertions = settings.assertions.ring
    return {
        "client": () if signing is None else (signing,),
        "decryption": () if decryption is None else decryption.keys.published(),
        "assertions": () if assertions is None else assertions.published(),
    }


def client_public_key(client: ProviderSettings) -> PublicJwk | None:
    """The key that verifies our client assertions; the kid defaults to its thumbprint. Raises ConfigurationError."""
    if client.client_auth != "private_key_jwt" or client.client_private_key is None:
        return None
    candidate = client_auth(client).candidates[0]
    assert not isinstance(candidate.key, str)
    members = public_members(candidate.key)
    return {**members, "use": "sig", "alg": candidate.alg, "kid": candidate.kid or thumbprint(members)}
