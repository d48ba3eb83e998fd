"""The number of workers that `auto` means: whole cores of the affinity and of every control group above the process."""

from pathlib import Path

import pytest

from bff.server.worker_count import available_cores, worker_count


@pytest.mark.parametrize(
    ("files", "own", "cores", "expected"),
    [
        ({}, None, 8, 8),
        ({"cpu.max": "max 100000"}, "0::/", 8, 8),
        ({"cpu.max": "200000 100000"}, "0::/", 8, 2),
        ({"cpu.max": "250000 100000"}, "0::/", 8, 2),
        ({"cpu.max": "50000 100000"}, "0::/", 8, 1),
        ({"cpu.max": "400000 100000"}, "0::/", 2, 2),
        ({"system.slice/cpu.max": "300000 100000", "system.slice/bff/cpu.max": "max 1"}, "0::/system.slice/bff", 8, 3),
        (
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            "9:memory:/x\n4:cpu,cpuacct:/a",
            8,
            3,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/", 8, 8),
        ({"cpu.max": "nonsense"}, "0::/", 8, 8),
    ],
)
def test_cores_of_quota_and_affinity(
    tmp_path: Path, files: dict[str, str], own: str | None, cores: int, expected: int
) -> None:
    groups = tmp_path / "cgroup"
    for name, content in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(content + "\n")
    own_cgroup = tmp_path / "self"
    if own is not None:
        own_cgroup.write_text(own + "\n")
    assert available_cores(groups, own_cgroup, cores) == expected


def test_a_number_is_that_number_and_auto_is_at_least_one() -> None:
    assert worker_count(3) == 3
    assert worker_count("auto") >= 1
