"""A SQLite store on disk: writable, ours, and durable across restarts.

The file is only read. The facts are in the database header (sqlite.org/fileformat.html section 1.3), so the check takes
no lock; opening a WAL database could leave -wal and -shm files of this user beside it.
"""

import os
import stat
from pathlib import Path
from typing import Final

from bff.admin.doctor.check_result import CheckResult, fail, ok, warn
from bff.storage.sqlite.database import APPLICATION, SCHEMA
from bff.storage.sqlite.filesystem import filesystem_type, is_ephemeral, is_network

LOW_SPACE: Final = 64 * 1024 * 1024  # bytes; the journal alone may take as much
_MAGIC: Final = b"SQLite format 3\0"
_WAL: Final = b"\x02\x02"  # file format write and read version


def run_checks(path: Path) -> CheckResult:
    try:
        return _check(path.absolute())  # shown as an absolute path
    except OSError as error:  # a parent directory that this account may not enter
        fix = "Run this as the account of `bff serve`, and give that account access to the directory and the file."
        return fail("store", f"{path} is not accessible to this account ({error.strerror}).", fix)


def _check(path: Path) -> CheckResult:
    filesystem = filesystem_type(path)
    if filesystem is not None and is_network(filesystem):
        fix = "Put the file on a local disk, or use Redis."
        return fail("store", f"{path} is on a network filesystem ({filesystem}), where SQLite loses writes.", fix)
    problem = _permissions(path)
    if problem is not None:
        return problem
    mode = "a new file" if not path.exists() else "WAL"
    if path.exists() and (problem := _header(path)) is not None:
        return problem
    observed = f"SQLite at {path}, {mode}, synchronous=FULL on every connection, one process"
    if filesystem is not None and is_ephemeral(filesystem):
        fix = (
            "Mount a volume or a disk there (BFF_STORE names the file), or use Redis: otherwise each deploy signs "
            "every user out."
        )
        return warn(
            "store",
            f"{observed}; it is on {filesystem}, which is lost with the container or the machine's memory.",
            fix,
        )
    return _space(path) or ok("store", observed)


def _permissions(path: Path) -> CheckResult | None:
    fix = "Give the account of `bff serve` the directory and the file: SQLite writes its journal beside the file."
    if not path.exists():
        directory = next(parent for parent in path.parents if parent.exists())
        if not os.access(directory, os.W_OK | os.X_OK):
            return fail("store", f"{path} does not exist, and {directory} cannot be written by this account.", fix)
        return None
    if not path.is_file():
        return fail("store", f"{path} is not a file.", "Set BFF_STORE to a file: sqlite:////var/lib/bff/bff.db.")
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        return fail("store", f"{path} or its directory cannot be written by this account.", fix)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return warn("store", f"{path} can be read by other accounts of this machine.", f"chmod 600 {path}")
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o007:
        return warn("store", f"{path.parent} is open to other accounts of this machine.", f"chmod 700 {path.parent}")
    return None


def _header(path: Path) -> CheckResult | None:
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return None
    if len(header) < 100 or not header.startswith(_MAGIC):
        return fail("store", f"{path} is not a SQLite database.", "Name another file in BFF_STORE.")
    version, application = (int.from_bytes(header[at : at + 4], "big", signed=True) for at in (60, 68))
    if application != APPLICATION:
        return fail("store", f"{path} is another program's database.", "Name another file in BFF_STORE.")
    if version != SCHEMA:
        observed = f"{path} has schema {version}, and this version supports {SCHEMA}."
        return fail("store", observed, "Run the version that wrote it, or name another file.")
    if header[18:20] != _WAL:
        fix = "`bff serve` enables it at its start; another program must have disabled it. Is it a copy?"
        return fail("store", f"{path} is not in WAL mode.", fix)
    return None


def _space(path: Path) -> CheckResult | None:
    directory = next(parent for parent in path.parents if parent.exists())
    statistics = os.statvfs(directory)
    free = statistics.f_bavail * statistics.f_frsize
    if free >= LOW_SPACE:
        return None
    fix = "Free some space: with a full disk sign-ins fail and refreshes wait."
    return warn("store", f"{directory} has {free // (1024 * 1024)} MiB left.", fix)
