"""The simulated Okta of a world, with the BFF registered as its client."""

from collections.abc import Mapping
from typing import Any, Final

from demo.simulator.grants import RotationPolicy
from demo.simulator.server import SimulatorConfig

CLIENT_ID: Final = "0oajourneyclient0001"
CLIENT_SECRET: Final = "journey-client-secret-0123456789abcdefghij"


def provider_config(
    public_url: str, rotation: RotationPolicy | None = None, changes: Mapping[str, Any] | None = None
) -> SimulatorConfig:
    """`changes` are members of SimulatorConfig that replace the usual ones."""
    registered = {
        "client_id": CLIENT_ID,
        "client_secrets": (CLIENT_SECRET,),
        "redirect_uris": (f"{public_url}/authorization-code/callback",),
        "post_logout_redirect_uris": (f"{public_url}/",),
        "rotation": rotation or RotationPolicy(),
    }
    return SimulatorConfig(**{**registered, **(changes or {})})
