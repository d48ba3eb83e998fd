"""A host application under `bff serve --app`: imported by name, with its BFF as what the server knows."""

import importlib
import os
import sys
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.app import Application
from bff.asgi.write_batching import WriteBatch
from bff.components.ports import Ports
from bff.config.reload import Sources
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.fastapi.installation import Bff
from bff.session.session import SessionKey
from bff.web.health import ReadinessReport

_EXAMPLE = "Give a module and its application, like shop:app for the variable app in shop.py."


class ServedHost:
    """Implements `bff.server.serve.Application`: requests go to the host, everything else concerns its BFF."""

    def __init__(self, host: ASGIApp, application: Application) -> None:
        self._host, self._application = host, application
        self.management, self.forward_auth = application.management, application.forward_auth

    @property
    def write_batch(self) -> WriteBatch:
        return self._application.write_batch

    @property
    def header_cache(self) -> int:
        return self._application.header_cache

    @property
    def public_url(self) -> str:
        return self._application.public_url

    def begin_to_stop(self) -> None:
        self._application.begin_to_stop()

    def end_streams(self) -> None:
        self._application.end_streams()

    def reload(self) -> None:
        self._application.reload()

    async def report(self) -> ReadinessReport:
        return await self._application.report()

    async def check_ended(self, keys: Sequence[SessionKey]) -> None:
        await self._application.check_ended(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._host(scope, receive, send)


def served_host(target: str, settings: Settings, sources: Sources, ports: Ports) -> ServedHost:
    """Imports `target`, a module and a variable of it, and builds its BFF.

    The settings of `bff serve` are also those of the BFF: it finds them in the environment, unless it was given others.
    Raises ConfigurationError.
    """
    os.environ.update(sources.environ)
    if sources.toml_path is not None:
        os.environ["BFF_CONFIG"] = str(sources.toml_path.absolute())
    host = _imported(target)
    bff = host if isinstance(host, Bff) else getattr(getattr(host, "state", None), "bff", None)
    if not isinstance(bff, Bff) or not callable(host):
        raise ConfigurationError("--app", f"{target} has no Bff.", "Call Bff().install(app) in its module.")
    application = bff.prepare(ports, sources)
    given = application.runtime.settings
    if (given.server, given.forward_auth) != (settings.server, settings.forward_auth):
        raise ConfigurationError(
            "--app",
            f"the Bff of {target} has other addresses, proxies or numbers of workers than `bff serve`.",
            "Create it with Bff(), or with Bff(load_settings()), which read what `bff serve` reads.",
        )
    return ServedHost(host, application)


def _imported(target: str) -> object:
    module, _, variable = target.partition(":")
    if not module or not variable:
        raise ConfigurationError("--app", f"{target} is not a module and a variable.", _EXAMPLE)
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and needs another one that is not
        raise ConfigurationError("--app", f"there is no module {error.name} in {here}.", _EXAMPLE) from None
    try:
        return getattr(imported, variable)
    except AttributeError:
        raise ConfigurationError("--app", f"the module {module} has no variable {variable}.", _EXAMPLE) from None
