"""Which fields of the rotation policy may be changed while the simulator runs, and their allowed values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from demo.simulator.grants import RotationPolicy

POLICY_FIELDS = frozenset(field.name for field in dataclasses.fields(RotationPolicy))


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
