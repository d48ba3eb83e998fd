"""The backend-for-frontend: signs users in, keeps their tokens on the server, forwards their API calls.

Owns: the packages below, the version, and the public API for applications of yours (docs/fastapi.md), whose types are
in `__init__.pyi`. Does not own: the demo, the benchmarks, the examples.
Layers, top down: cli, admin, testing, fastapi, app, server, web, flows | proxy | provider | storage, config, telemetry,
session, oidc, asgi | errors.
"""

import importlib

__version__ = "0.1.0"

# Imported when first used: most commands need no web framework, and a module that needs only the version imports no
# package above its layer.
_PUBLIC = {
    "Bff": "bff.fastapi.installation",
    "BffError": "bff.errors",
    "ConfigurationError": "bff.errors",
    "Settings": "bff.config.settings",
    "User": "bff.fastapi.user",
    "api_client": "bff.fastapi.api_client",
    "create_app": "bff.fastapi.installation",
    "csrf_protected": "bff.fastapi.dependencies",
    "current_user": "bff.fastapi.dependencies",
    "load_settings": "bff.config.settings",
    "optional_user": "bff.fastapi.dependencies",
    "require": "bff.fastapi.dependencies",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
