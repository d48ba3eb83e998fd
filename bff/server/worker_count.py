"""How many workers `BFF_WORKERS=auto` means: the cores that this process may use.

The affinity of the process (cpusets, `docker run --cpuset-cpus`) and the quota of its control group (`--cpus`, a CPU
limit in Kubernetes, `CPUQuota=` of systemd) both limit it. A part of a core is not counted: a worker more than whole
cores would be throttled in the middle of a request.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")


def worker_count(wanted: int | Literal["auto"]) -> int:
    return available_cores() if wanted == "auto" else wanted


def available_cores(cgroups: Path = CGROUPS, own_cgroup: Path = OWN_CGROUP, cores: int | None = None) -> int:
    """At least 1. `cores` is the number of the affinity, by default that of this process."""
    quotas = [quota for folder in _folders(cgroups, own_cgroup) if (quota := _quota(folder)) is not None]
    return max(1, int(min([cores or _affinity(), *quotas])))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders(cgroups: Path, own_cgroup: Path) -> Iterator[Path]:
    """The control groups that this process is in, each with those above it. Version 2, or the CPU part of version 1."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = own_cgroup.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        inside = root / path.lstrip("/")
        yield from (folder for folder in (inside, *inside.parents) if folder.is_relative_to(root))


def _quota(folder: Path) -> float | None:
    """Cores; None if there is no limit."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int((folder / "cpu.cfs_quota_us").read_text())
        return microseconds / int((folder / "cpu.cfs_period_us").read_text()) if microseconds > 0 else None
    return None
