"""Our own keys compared with what the provider says that it supports: encryption of ID tokens, client assertions."""

from collections.abc import Mapping
from typing import Any

from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.config.settings import Settings
from bff.oidc.jwe import ENCRYPTIONS
from bff.provider.own_keys import client_public_key


def check_own_keys(settings: Settings, fields: Mapping[str, Any]) -> list[CheckResult]:
    """`fields` is the discovery document. Nothing for keys that are not configured."""
    return [*_client_key_algorithm(settings, fields), *_encryption(settings, fields)]


def _client_key_algorithm(settings: Settings, fields: Mapping[str, Any]) -> list[CheckResult]:
    key = client_public_key(settings.provider)
    offered = _words(fields, "token_endpoint_auth_signing_alg_values_supported")
    if key is None or not offered:
        return []
    alg = key["alg"]
    if alg not in offered:
        observed = f"The client key signs with {alg}, the provider verifies {' '.join(offered)[:200]}."
        return [fail("client_key_algorithm", observed, "Set BFF_CLIENT_KEY_ALGORITHM, or use a key of another type.")]
    return [ok("client_key_algorithm", alg)]


def _encryption(settings: Settings, fields: Mapping[str, Any]) -> list[CheckResult]:
    decryption = settings.provider.encryption.decryption
    if decryption is None:
        return []
    ours = {alg for key in decryption.keys.keys for alg in key.algorithms}
    for name, usable, fix in (
        ("id_token_encryption_alg_values_supported", ours, "Make a key for one of those with `bff keys jwk`."),
        ("id_token_encryption_enc_values_supported", ENCRYPTIONS, "Use a provider that encrypts with one of ours."),
    ):
        offered = _words(fields, name)
        if offered and usable.isdisjoint(offered):
            observed = f"{name} is {' '.join(offered)[:200]}, BFF_DECRYPTION_KEYS is for {' '.join(sorted(usable))}."
            return [fail("encryption", observed, fix)]
    if not _words(fields, "id_token_encryption_alg_values_supported"):
        fix = "Check in its documentation that it does, and that the key is registered."
        return [warn("encryption", "The provider does not state whether it encrypts ID tokens.", fix)]
    required = "required" if decryption.required else "optional"
    return [ok("encryption", f"{required}; {len(decryption.keys.keys)} key(s) for {' '.join(sorted(ours))}")]


def _words(fields: Mapping[str, Any], name: str) -> list[str]:
    value = fields.get(name)
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
