"""The filesystem type of a file.

SQLite's locks and shared memory fail over a network (sqlite.org/wal.html), and some filesystems do not survive the
container or a reboot.
"""

import os
import re
from pathlib import Path
from typing import Final

_NETWORK: Final = re.compile(
    r"nfs4?|cifs|smb3|smbfs|ncpfs|afs|coda|ceph|glusterfs|lustre|gpfs|beegfs|orangefs|pvfs2|ocfs2|gfs2?"
    r"|fuse\.(sshfs|glusterfs|ceph|s3fs|gcsfuse|rclone|goofys|davfs.*|juicefs|mfs|seaweedfs|blobfuse2?)|davfs"
)


# The writable layer of a container, and memory.
_EPHEMERAL: Final = frozenset({"overlay", "aufs", "tmpfs", "ramfs"})


def network_filesystem(path: Path, mountinfo: str | None = None) -> str | None:
    """The type of the network filesystem that `path` would be on, or None.

    `mountinfo` is read from /proc by default. Without /proc (not Linux) it returns None.
    """
    filesystem = filesystem_type(path, mountinfo)
    return filesystem if filesystem is not None and is_network(filesystem) else None


def is_network(filesystem: str) -> bool:
    return _NETWORK.fullmatch(filesystem) is not None


def is_ephemeral(filesystem: str) -> bool:
    """Whether the filesystem is lost with the container or at a reboot."""
    return filesystem in _EPHEMERAL


def filesystem_type(path: Path, mountinfo: str | None = None) -> str | None:
    """The type of the filesystem that `path` would be on; None if unknown."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return None
    wanted = os.path.realpath(path)
    best, filesystem = "", ""
    for line in mountinfo.splitlines():
        mount, separator, source = line.partition(" - ")
        columns, described = mount.split(" "), source.split(" ")
        if not separator or len(columns) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), columns[4])
        # Of two mounts on one point the later one is visible.
        if len(point) >= len(best) and (wanted == point or wanted.startswith(point.rstrip("/") + "/")):
            best, filesystem = point, described[0]
    return filesystem or None
