"""The smallest valid configuration, and the problems of invalid ones."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from bff.config.settings import load_settings
from bff.errors import ConfigurationError

KEY = urlsafe_b64encode(sha256(b"a key of the tests").digest()).rstrip(b"=").decode()
OLD_KEY = urlsafe_b64encode(sha256(b"another key of the tests").digest()).rstrip(b"=").decode()
CLIENT_SECRET = "canary-client-secret-4711"
RIGHT = {
    "BFF_ISSUER": "https://example.okta.com/oauth2/default",
    "BFF_CLIENT_ID": "0oa1example",
    "BFF_CLIENT_SECRET": CLIENT_SECRET,
    "BFF_PUBLIC_URL": "https://app.example.com",
    "BFF_SESSION_KEYS": KEY,
}


def with_changes(**changes: str | None) -> dict[str, str]:
    """RIGHT with some settings changed, or removed by None."""
    environ = {**RIGHT, **{f"BFF_{name.upper()}": value for name, value in changes.items() if value is not None}}
    for name, value in changes.items():
        if value is None:
            environ.pop(f"BFF_{name.upper()}", None)
    return environ


def problems(environ: dict[str, str], toml: Path | None = None) -> dict[str, str]:
    """The problems by setting, each with its fix."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings(environ, toml)
    assert CLIENT_SECRET not in str(refused.value)
    return {problem.setting: f"{problem.problem} {problem.fix}" for problem in getattr(refused.value, "problems", ())}
