"""The clock of a database: monotonic, and one for all processes that have it open."""

import fcntl
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bff.errors import ConfigurationError, StoreUnavailable
from bff.storage.sqlite.host_clock import HostClock
from tests.harness.waiting import PATIENCE


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "bff.db"
    path.touch()
    return path


def opened(database: Path, ahead: float = 0.0) -> HostClock:
    return HostClock(database, timeout=PATIENCE, wall_clock=lambda: time.time() + ahead)


def test_it_never_steps_back_and_begins_with_the_wall_clock(database: Path) -> None:
    before = time.time()
    clock = opened(database)
    times = [clock() for _ in range(1000)]
    assert before - 1 < times[0] < before + PATIENCE
    assert times == sorted(times)
    clock.close()


def test_a_later_process_has_the_same_clock_although_the_wall_clock_was_corrected(database: Path) -> None:
    first = opened(database)
    second, third = opened(database, ahead=-3600), opened(database, ahead=3600)
    assert abs(second() - first()) < PATIENCE
    first.close()
    second.close()
    fourth = opened(database, ahead=3600)  # the third still has it open
    before, found, after = third(), fourth(), third()
    assert before <= found <= after
    third.close()
    fourth.close()


def test_once_no_process_has_it_open_the_next_one_begins_with_the_wall_clock(database: Path) -> None:
    opened(database).close()
    clock = opened(database, ahead=3600)
    assert clock() > time.time() + 3000
    clock.close()


def test_the_file_is_readable_by_its_owner_alone(database: Path) -> None:
    clock = opened(database)
    assert stat.S_IMODE((database.parent / "bff.db-clock").stat().st_mode) == 0o600
    clock.close()


def test_a_file_that_cannot_be_opened_names_the_setting(database: Path) -> None:
    (database.parent / "bff.db-clock").mkdir()
    with pytest.raises(ConfigurationError, match=r"BFF_STORE: .*bff\.db-clock can't be opened"):
        opened(database)


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic link", "hard link"])
def test_a_link_is_not_followed(database: Path, link: Callable[[Path, Path], None]) -> None:
    """An operator's command may run as root in a folder of the service's user, who must not choose what it changes."""
    another = database.parent / "another"
    another.write_bytes(b"content of another file")
    link(database.parent / "bff.db-clock", another)
    before = another.stat()
    with pytest.raises(ConfigurationError, match=r"bff\.db-clock"):
        opened(database)
    assert another.read_bytes() == b"content of another file"
    assert (another.stat().st_uid, another.stat().st_ctime_ns) == (before.st_uid, before.st_ctime_ns)


def test_a_locked_file_without_a_start_is_an_error_and_no_wrong_clock(database: Path) -> None:
    other = os.open(database.parent / "bff.db-clock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_SH)
    with pytest.raises(StoreUnavailable, match="locked"):
        HostClock(database, timeout=0.01)
    os.close(other)
    opened(database).close()


def test_closing_twice_does_not_close_the_file_of_another(database: Path) -> None:
    clock = HostClock(database, timeout=0)
    clock.close()
    with database.open("rb") as other:  # it gets the number that was closed
        clock.close()
        assert other.read(0) == b""
