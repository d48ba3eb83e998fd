"""`bff serve` with the timeouts of `tests.harness.patience`, as a process of its own or with workers."""

import os
import sys

from bff.app import build_app
from bff.components.ports import Ports
from bff.config.reload import Sources
from bff.server.run import run
from bff.server.supervise import run_workers
from bff.server.supervisor import SupervisorTimeouts, Workers
from bff.server.worker import Worker, WorkerOrder
from bff.server.worker_count import worker_count
from bff.telemetry.logging import configure_logging, stderr_without_blocking
from tests.harness.patience import PATIENT
from tests.harness.waiting import PATIENCE


def main(order: str | None) -> int:
    sources = Sources(dict(os.environ))
    settings = sources.load()
    worker = None if order is None else Worker(WorkerOrder.parse(order))
    log = settings.telemetry
    stream = stderr_without_blocking(log.log_format)
    configure_logging(log.log_level, log.log_format, stream, worker=None if worker is None else worker.number)
    count = worker_count(settings.server.workers)
    if count > 1 and worker is None:
        # A pause of the production's length would make a test of many kills one of hours.
        timeouts = SupervisorTimeouts(start=5 * PATIENCE, longest_pause=0.1)
        workers = Workers(count, [sys.executable, "-m", __spec__.name, "worker"], timeouts)
        return run_workers(workers, settings, sources.load)
    return run(build_app(settings, sources=sources, timeouts=PATIENT, ports=Ports(siblings=worker)), settings, worker)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2] if sys.argv[1] == "worker" else None))
