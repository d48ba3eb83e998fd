"""Which settings may be changed while the simulator runs: fields of the rotation policy, the org and the client."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from demo.simulator.grants import RotationPolicy

POLICY_FIELDS = frozenset(field.name for field in dataclasses.fields(RotationPolicy))

ORG_FIELDS = frozenset({"policy_exists", "expect_late", "id_token_claims", "dpop_nonce"})
CLIENT_FIELDS = frozenset(
    {"secrets", "redirect_uris", "post_logout_redirect_uris", "jwks", "auth_methods", "pkce_required"}
)


def validate_policy(policy: Mapping[str, Any]) -> None:
    """Raises ValueError or TypeError."""
    if policy.get("mode", "rotate") not in ("rotate", "persistent"):
        raise ValueError("mode is rotate or persistent")
    if not 0 <= policy.get("grace", 0) <= 60:
        raise ValueError("grace is 0 to 60 seconds")
    if policy.get("on_reuse", "refuse") not in ("revoke_family", "refuse"):
        raise ValueError("on_reuse is revoke_family or refuse")
    if policy.get("family_scope", "sign_in") not in ("sign_in", "user_and_client"):
        raise ValueError("family_scope is sign_in or user_and_client")
    if not policy.get("access_token_lifetime", 1) > 0:
        raise ValueError("access_token_lifetime is a number of seconds")


def client_value(name: str, value: Any) -> Any:
    """The value of a client's field, in the type that the field has."""
    match name:
        case "auth_methods":
            return frozenset(value)
        case "pkce_required":
            return bool(value)
        case _:
            return tuple(value)
