"""The settings of an application under test: its own, with a fake provider and fake upstreams."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bff.base64url import encode_base64url
from bff.config.routes import Route
from bff.config.settings import Settings, load_settings
from bff.session.keyring import new_key
from bff.testing.provider import CLIENT_ID, ISSUER

PUBLIC_URL: Final = "https://app.test"


def fake_settings(folder: Path, upstreams: str, config: Path | None = None) -> Settings:
    """The settings of `config`, by default BFF_CONFIG or ./bff.toml, with those of a fake world in their place.

    No other variable of the environment is read. The store is in `folder`, and every upstream at the URL `upstreams`.
    Raises ConfigurationError.
    """
    environ = {
        "BFF_ISSUER": ISSUER,
        "BFF_CLIENT_ID": CLIENT_ID,
        "BFF_CLIENT_SECRET": "secret-of-the-tests-0123456789abcdef",
        "BFF_ID_TOKEN_ALGORITHMS": "ES256",
        "BFF_PUBLIC_URL": PUBLIC_URL,
        "BFF_REFRESH_LEASE": "20",  # seconds; a busy machine may stop a process between a reservation and its request
        "BFF_SESSION_KEYS": encode_base64url(new_key()),
        "BFF_STORE": f"sqlite:///{folder / 'bff.db'}",
    }
    if config is None and os.environ.get("BFF_CONFIG"):
        config = Path(os.environ["BFF_CONFIG"])
    settings = load_settings(environ, config)
    return settings.model_copy(update={"routes": tuple(_fake(route, upstreams) for route in settings.routes)})


def _fake(route: Route, upstreams: str) -> Route:
    """The route, to the fake upstream of its name. The path of its own URL stays out: tests need not know it."""
    name = route.prefix.rpartition("/")[2]
    tls = {"ca_file": None, "client_cert_file": None, "client_key_file": None}
    given = {name: getattr(route, name) for name in type(route).model_fields}
    assert urlsplit(upstreams).path == ""
    return type(route).model_construct(**{**given, **tls, "upstream": f"{upstreams}/{name}", "allow_http": True})
