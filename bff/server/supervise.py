"""`bff serve` with several workers: the process of the supervisor, with the listeners and the management port."""

import asyncio
import logging
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO

from bff.config.reload import RELOADED, changed_names
from bff.config.settings import Settings
from bff.errors import ConfigurationError
from bff.server.listeners import Bound, describe, remove_socket_file
from bff.server.required_versions import check_versions
from bff.server.run import bind_listeners
from bff.server.supervisor import Supervisor, Workers
from bff.server.worker_process import Descriptors
from bff.web.middleware.rate_memory import new_memory

logger = logging.getLogger(__name__)


def run_workers(workers: Workers, settings: Settings, read_settings: Callable[[], Settings]) -> int:
    """Serves until SIGTERM or SIGINT. Returns and raises as `bff.server.run.run` does.

    `read_settings` reads the settings again for a roll.
    """
    check_versions()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys of sessions pass through this process
    bound = bind_listeners(settings)
    try:
        with _shared_memory() as rates:
            return asyncio.run(_supervise(workers, bound, rates.fileno(), settings, read_settings))
    finally:
        for listener in bound:
            remove_socket_file(listener)


async def _supervise(
    workers: Workers,
    bound: Sequence[Bound | None],
    rates: int,
    settings: Settings,
    read_settings: Callable[[], Settings],
) -> int:
    # Imported only after the check of the versions.
    from bff.server.uvicorn_0_54.server import Server, uvicorn_config
    from bff.web.health import ManagementApp

    public, management, forward_auth = bound
    if public is None:
        raise ValueError("the public address is not optional")
    inherited = Descriptors(
        public.socket.fileno(), None if forward_auth is None else forward_auth.socket.fileno(), rates
    )
    supervisor = Supervisor(workers, inherited)

    async def log_ready() -> None:
        await supervisor.all_serve.wait()
        logger.info("ready: open %s", settings.browser.public_url)

    async def close_listeners() -> None:
        """The workers have them too, and accept for the drain delay. After that connections are refused."""
        await supervisor.starts_no_more.wait()
        for listener in (public, forward_auth):
            if listener is not None:
                listener.socket.close()

    def stop(number: int) -> None:
        logger.info("stopping", extra={"in_seconds": settings.server.drain_delay})
        supervisor.stop(number)

    present = settings  # of the workers

    def apply_settings(*, roll: bool) -> None:
        """With `roll` new workers take over in any case, otherwise only for a setting that workers cannot reload."""
        nonlocal present
        try:
            changed = read_settings()
        except ConfigurationError as error:
            logger.error("the settings are not valid, and no worker is replaced", extra={"error": str(error)})
            return
        if (changed.server, changed.forward_auth) != (settings.server, settings.forward_auth):
            advice = "a change of the addresses or of the number of workers needs a restart"
            logger.warning("settings of the server have changed", extra={"advice": advice})
        roll = roll or not RELOADED.issuperset(changed_names(present, changed))
        present = changed
        if roll:
            supervisor.roll()
        else:
            supervisor.reload()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, partial(apply_settings, roll=False))
    loop.add_signal_handler(signal.SIGUSR2, partial(apply_settings, roll=True))
    logger.info(
        "listening",
        extra={
            "address": describe(public),
            "management": describe(management),
            "forward_auth": describe(forward_auth),
            "workers": workers.count,
        },
    )
    machine = supervisor.machine
    app = ManagementApp(machine.report, liveness=machine.liveness, metrics=machine.metrics)
    server = Server(uvicorn_config(app, lifespan="off"))
    beside = [asyncio.create_task(log_ready()), asyncio.create_task(close_listeners())]
    answering = None if management is None else asyncio.create_task(server.serve(sockets=[management.socket]))
    try:
        return await supervisor.run()
    finally:
        for task in beside:
            task.cancel()
        if answering is not None:
            server.should_exit = True
            await answering


def _shared_memory() -> BinaryIO:
    """Of the rate limits. It outlives each worker, and ends with the last process that has it."""
    in_memory = hasattr(os, "memfd_create")
    memory = os.fdopen(os.memfd_create("bff rate limits"), "w+b") if in_memory else tempfile.TemporaryFile("w+b")  # noqa: SIM115
    memory.write(new_memory())
    memory.flush()
    return memory
