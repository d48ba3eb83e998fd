"""`bff serve`: serves the application until SIGTERM or SIGINT."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

import bff
from bff.cli.options import environment, settings_source
from bff.config.kubernetes_links import linked_services
from bff.config.reload import Sources
from bff.config.settings import Settings, load_settings

if TYPE_CHECKING:
    from bff.server.worker import Worker

logger = logging.getLogger(__name__)

# Imports the package from where this process has it, also if that is only on this process's path.
_START: Final = "import sys; sys.path.append(sys.argv.pop(1)); from bff.cli.main import main; sys.exit(main())"


@click.command(short_help="Serve until SIGTERM.")
@settings_source
@click.option("--workers", metavar="N", help="Processes that serve, or auto for one per core. Default: BFF_WORKERS, 1.")
@click.option("--app", metavar="MODULE:VARIABLE", help="An application of yours with a Bff, like shop:app.")
@click.option("--worker", "order", hidden=True)
def command(config: Path | None, env_file: Path | None, workers: str | None, app: str | None, order: str | None) -> int:
    """Serve until SIGTERM or SIGINT, in one process or with several workers.

    A signal ends it in order: /readyz fails for BFF_DRAIN_DELAY, then no connection is accepted, responses in progress
    get 15 seconds, and refreshes are completed. SIGHUP reloads session keys and credentials. With several workers
    SIGUSR2 replaces them one by one, with the settings and the version as they are then.
    """
    environ = environment(env_file)
    if workers is not None:
        environ["BFF_WORKERS"] = workers
    settings = load_settings(environ, config)
    sources = Sources(environ, config)
    if order is not None:
        return _serve(settings, sources, app, order)
    from bff.server.worker_count import worker_count

    count = worker_count(settings.server.workers)
    if count == 1:
        return _serve(settings, sources, app)
    from bff.server.supervise import run_workers
    from bff.server.supervisor import Workers

    _log_to_stderr(settings)
    _log_service_links(environ)

    def read_settings() -> Settings:
        return load_settings({**environment(env_file), "BFF_WORKERS": str(settings.server.workers)}, config)

    return run_workers(Workers(count, _worker_command(config, env_file, app)), settings, read_settings)


def _serve(settings: Settings, sources: Sources, target: str | None, order: str | None = None) -> int:
    # Imported after the settings are valid: invalid ones are refused without loading the web framework.
    from bff.app import build_app
    from bff.components.ports import Ports
    from bff.server.run import run

    worker = None if order is None else _worker(order)
    _log_to_stderr(settings, worker)
    if worker is None:
        _log_service_links(sources.environ)
    ports = Ports(siblings=worker)
    if target is not None:
        from bff.fastapi.served import served_host

        return run(served_host(target, settings, sources, ports), settings, worker)
    return run(build_app(settings, sources=sources, ports=ports), settings, worker)


def _worker(order: str) -> "Worker":
    from bff.server.worker import Worker, WorkerOrder

    try:
        return Worker(WorkerOrder.parse(order))
    except (ValueError, TypeError, OSError):
        raise click.UsageError("--worker is for the supervisor, which starts workers with it.") from None


def _worker_command(config: Path | None, env_file: Path | None, app: str | None) -> list[str]:
    package = Path(bff.__file__).parent.parent
    command = [sys.executable, "-P", "-c", _START, str(package), "serve"]
    for option, value in (("--config", config), ("--env-file", env_file), ("--app", app)):
        command += [] if value is None else [option, str(value)]
    return [*command, "--worker"]


def _log_to_stderr(settings: Settings, worker: "Worker | None" = None) -> None:
    from bff.telemetry.logging import configure_logging, stderr_without_blocking

    log = settings.telemetry
    configure_logging(
        log.log_level,
        log.log_format,
        stderr_without_blocking(log.log_format),
        worker=None if worker is None else worker.number,
    )


def _log_service_links(environ: Mapping[str, str]) -> None:
    if services := linked_services(environ):
        logger.info(
            "ignored the variables of Kubernetes service links; enableServiceLinks: false removes them",
            extra={"services": " ".join(services)},
        )
