"""SQLite is refused where its locks do not hold."""

from pathlib import Path

import pytest

from bff.storage.sqlite.filesystem import network_filesystem

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /data rw,relatime shared:1 - nfs4 server:/export rw,vers=4.2
31 30 0:41 / /data/local rw,relatime - xfs /dev/vdb rw
32 22 0:42 / /mnt/with\\040space rw - cifs //server/share rw
33 22 0:43 / /twice rw - nfs server:/x rw
34 22 0:44 / /twice rw - tmpfs tmpfs rw
35 22 0:45 / /home/me/remote rw - fuse.sshfs me@host: rw
not a mount line
"""


@pytest.mark.case("ST-027")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/bff.db", None),
        ("/data/bff.db", "nfs4"),
        ("/database/bff.db", None),
        ("/data/local/bff.db", None),
        ("/mnt/with space/x/bff.db", "cifs"),
        ("/twice/bff.db", None),
        ("/home/me/remote/bff.db", "fuse.sshfs"),
    ],
)
def test_the_filesystem_of_a_file_is_told_by_the_last_and_longest_mount(path: str, kind: str | None) -> None:
    assert network_filesystem(Path(path), MOUNTS) == kind


def test_here_the_mounts_can_be_read(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path / "bff.db") is None
