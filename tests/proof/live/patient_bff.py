"""`bff serve` with the timeouts of `tests.harness.patience`, as a process of its own."""

import os
import sys

from bff.app import build_app
from bff.config.reload import Sources
from bff.server.run import run
from bff.telemetry.logging import configure_logging, stderr_without_blocking
from tests.harness.patience import PATIENT

if __name__ == "__main__":
    sources = Sources(dict(os.environ))
    settings = sources.load()
    log = settings.telemetry
    configure_logging(log.log_level, log.log_format, stderr_without_blocking(log.log_format))
    sys.exit(run(build_app(settings, sources=sources, timeouts=PATIENT), settings))
