"""Makes the secret files a deployment needs, each only where it is missing, and hands each reader its own.

client_secret    Okta's client secret; made up here for the demo, put your own in its place
session_keys     the key ring that seals cookies and records (`bff keys new`), newest first
redis.conf       Redis: its users, persistence, and that it never evicts a session
store_url        where the BFF finds that Redis, and its password there

Run by the service `secrets` as root. The first directory holds all of them, yours too. In the second each reader has a
directory of its own with copies that nobody else can read. Run it again after a change.
"""

import os
import secrets
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

BFF = 10001  # the user that the image runs as
REDIS = 999  # the user of the official images of Redis and Valkey
READERS = {
    "bff": (BFF, ("client_secret", "session_keys", "store_url")),
    "redis": (REDIS, ("redis.conf",)),
    "okta": (BFF, ("client_secret",)),  # the demo's; it knows the client's secret, as Okta does
}

# The BFF's, as docs/operations.md has them. The probe may send PING, and nobody else gets in. `default` is off and
# keeps its rights: as that user Redis reads its append-only file, and drops each transaction that the user may not do.
RIGHTS = (
    "~bff:* +time +eval +evalsha +exists +get +set +hget +hgetall +hmget +hset +hdel +hlen +hstrlen"
    " +del +rename +pttl +pexpire +pexpireat +scan +wait +role +info +zadd +zcard +zrangebyscore +zrem"
)
CONFIG = f"""\
user default reset off ~* &* +@all
user probe reset on >probe +ping
user bff reset on #{{password}} {RIGHTS}
maxmemory 640mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
save ""
dir /data
"""


def main(source: Path, readers: Path) -> None:
    make_redis(source / "redis.conf", source / "store_url")
    make(source / "client_secret", secrets.token_urlsafe(48))
    make(source / "session_keys", urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode() + "\n")
    for reader, (owner, names) in READERS.items():
        for name in names:
            (source / name).chmod(0o400)
            write(readers / reader / name, (source / name).read_bytes(), owner)
        os.chown(readers / reader, owner, -1)
        (readers / reader).chmod(0o500)
    if (data := readers / "redis-data").is_dir():
        os.chown(data, REDIS, -1)


def make_redis(config: Path, url: Path) -> None:
    """The two belong together: one missing, or a configuration of an older version, means that both are new.

    The URL of another Redis than the service `redis` is the operator's own, and stays.
    """
    password = secrets.token_urlsafe(32)
    text = CONFIG.format(password=sha256(password.encode()).hexdigest())
    if url.exists() and "@redis:6379/" not in url.read_text("utf-8"):
        make(config, text)
    elif not (url.exists() and config.exists() and RIGHTS in config.read_text("utf-8")):
        for path in (config, url):
            path.unlink(missing_ok=True)
        make(config, text)
        make(url, f"redis://bff:{password}@redis:6379/0")


def make(path: Path, text: str) -> None:
    if not path.exists():
        write(path, text.encode())
        print(f"made {path.name}")


def write(path: Path, content: bytes, owner: int | None = None) -> None:
    """Whole or not at all: the BFF reads its files again when they change."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(content)
    if owner is not None:
        os.chown(new, owner, -1)
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
