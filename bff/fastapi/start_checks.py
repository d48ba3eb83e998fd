"""Checks of the host application at its start: what could never work refuses to start, with a reason."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from bff.config.browser import KEY_SET_PATH, is_reserved
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.fastapi.api_client import ApiClient
from bff.fastapi.dependencies import Require


def check_host(app: FastAPI, settings: Settings) -> None:
    """Raises ConfigurationError for a route that no request could reach, a dependency that could never be met, and an
    application below a path.
    """
    if app.root_path:
        raise ConfigurationError(
            "FastAPI(root_path=...)",
            f"is {app.root_path}, and the BFF needs a whole origin: its cookies are for every path of it.",
            "Remove root_path, and give the application a host name of its own.",
        )
    for context in iter_route_contexts(app.routes):
        if context.path is not None:
            _check_path(context.path, settings)
        if isinstance(context.route, Mount) and getattr(getattr(context.route.app, "state", None), "bff", None):
            raise ConfigurationError(
                f"the application mounted at {context.path}",
                "has a Bff of its own, which would never start: no lifespan runs for a mounted application.",
                "Install one Bff, in the outer application: its dependencies work in mounted ones too.",
            )
        for call in _calls(getattr(context, "dependant", None)):
            if isinstance(call, ApiClient | Require):
                call.check(settings)


def _check_path(path: str, settings: Settings) -> None:
    own = {settings.browser.callback_path} | ({KEY_SET_PATH} if settings.publishes_keys else set())
    if is_reserved(path) or path in own:
        raise ConfigurationError(
            f"the route {path}", "is a path of the BFF, which answers there itself.", "Choose another path."
        )
    for route in settings.routes:
        if route.covers(path.encode("utf-8")):
            raise ConfigurationError(
                f"the route {path}",
                f"is below the prefix {route.prefix} of BFF_ROUTES, which is forwarded to an upstream.",
                "Choose another path, or another prefix.",
            )


def _calls(dependant: Dependant | None) -> Iterator[object]:
    """Everything that a route calls before its function."""
    if dependant is not None:
        for inner in dependant.dependencies:
            yield inner.call
            yield from _calls(inner)
