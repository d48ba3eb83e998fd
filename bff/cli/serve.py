"""`bff serve`: serves the application until SIGTERM or SIGINT."""

import logging
from pathlib import Path

import click

from bff.cli.options import environment, settings_source
from bff.config.kubernetes_links import linked_services
from bff.config.settings import load_settings

logger = logging.getLogger(__name__)


@click.command(short_help="Serve until SIGTERM, in one process.")
@settings_source
def command(config: Path | None, env_file: Path | None) -> int:
    """Serve until SIGTERM or SIGINT, in one process.

    A signal ends it in order: /readyz fails for BFF_DRAIN_DELAY, then no connection is accepted, responses in progress
    get 15 seconds, and refreshes are completed. SIGHUP reloads session keys and client secrets.
    """
    environ = environment(env_file)
    settings = load_settings(environ, config)
    # Imported after the settings are valid: invalid ones are refused without loading the web framework.
    from bff.app import build_app
    from bff.config.reload import Sources
    from bff.server.run import run
    from bff.telemetry.logging import configure_logging, stderr_without_blocking

    configure_logging(
        settings.telemetry.log_level,
        settings.telemetry.log_format,
        stderr_without_blocking(settings.telemetry.log_format),
    )
    if services := linked_services(environ):
        logger.info(
            "ignored the variables of Kubernetes service links; enableServiceLinks: false removes them",
            extra={"services": " ".join(services)},
        )
    return run(build_app(settings, sources=Sources(environ, config)), settings)
