"""`bff serve` in one process: checks the installed uvicorn, binds the listeners, and runs the event loop."""

import asyncio
import gc
import resource
from collections.abc import Sequence
from typing import TYPE_CHECKING

import uvloop

from bff.config.settings import Settings
from bff.server.listeners import Bound, bind, remove_socket_file
from bff.server.required_versions import check_versions

if TYPE_CHECKING:
    from bff.server.serve import Application
    from bff.server.worker import Worker


def run(app: "Application", settings: Settings, worker: "Worker | None" = None) -> int:
    """Serves until SIGTERM or SIGINT; as one of several workers, on the listeners of the supervisor and until it ends
    the worker.

    Returns 0 after an orderly shutdown, 3 when the application could not start. Ends with code 4 when the event loop
    stands still (`bff.server.watchdog`). Raises ConfigurationError when an address cannot be bound, or another release
    of uvicorn or httptools is installed than the BFF needs.
    """
    check_versions()
    # Imported only after the check: with another release the import of uvicorn's private classes may fail.
    from bff.server.serve import serve

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every token in memory
    # Objects created at start-up live as long as the process, so they are frozen out of garbage collection; requests
    # create few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    bound = bind_listeners(settings) if worker is None else worker.listeners
    server = settings.server
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(serve(app, bound, server.drain_delay, server.watchdog_timeout, worker))
        except SystemExit as stopped:  # uvicorn's sign that the lifespan failed; the reason has been logged
            return stopped.code if isinstance(stopped.code, int) and stopped.code else 3
        finally:
            for listener in bound:
                remove_socket_file(listener)


def bind_listeners(settings: Settings) -> Sequence[Bound | None]:
    """The public, management and forward-auth listeners. Raises ConfigurationError."""
    addresses = {
        "BFF_LISTEN": settings.server.listen_address,
        "BFF_MANAGEMENT_LISTEN": settings.server.management_address,
        "BFF_FORWARD_AUTH_LISTEN": settings.forward_auth.address,
    }
    return [None if address is None else bind(setting, address) for setting, address in addresses.items()]
