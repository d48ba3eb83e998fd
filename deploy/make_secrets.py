"""Creates the missing secret files of a deployment and copies each file to the services that read it.

It also copies what nginx reads, and prepares the directory of the sockets. The copies have the owner and the
permissions that their reader needs, whatever those of the original are (a clone under umask 077, another user's files).

client_secret    the client secret from Okta; a random one is created for the demo, replace it by yours
session_keys     the key ring that seals cookies and session records (`bff keys new`), newest key first
redis.conf       the configuration of Redis: users, persistence and `noeviction`
store_url        the URL of that Redis with the BFF's password

`make_secrets.py SOURCE READERS` runs as root in the service `secrets`. SOURCE holds all files, including those that the
operator supplies. READERS has a directory for each service, whose copies only that service can read. Run it again after
a change in SOURCE.
"""

import os
import secrets
import shutil
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

BFF = 10001  # the user and the group that the image runs as; nginx is in that group
REDIS = 999  # the user of the official images of Redis and Valkey
READERS = {
    "bff": (BFF, ("client_secret", "session_keys", "store_url")),
    "redis": (REDIS, ("redis.conf",)),
    "okta": (BFF, ("client_secret",)),  # the simulated Okta of the demo, which checks the client secret
}

# The permissions of the BFF's Redis user, as in docs/operations.md. The user `probe` may only send PING. `default`
# cannot log in but keeps all permissions, because Redis replays its append-only file as that user and
# would drop transactions that the user may not execute.
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
    if (sockets := readers / "sockets").is_dir():
        os.chown(sockets, BFF, BFF)
        sockets.chmod(0o750)


def copy_for_proxy(source: Path, target: Path) -> None:
    """Copies nginx.conf and the files of the single-page app, readable by all. Raises SystemExit if one is missing."""
    if not (source / "nginx.conf").is_file():
        raise SystemExit("deploy/nginx/nginx.conf is not a file. Restore it from the repository.")
    if not (source / "spa").is_dir():
        raise SystemExit("SPA_DIR is not a directory. Set it to the build of your single-page app.")
    new, old = target / ".spa.new", target / ".spa.old"
    for left_over in (new, old):
        shutil.rmtree(left_over, ignore_errors=True)
    shutil.copytree(source / "spa", new, copy_function=shutil.copyfile, ignore_dangling_symlinks=True)
    for path in (new, *new.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if (target / "spa").exists():
        (target / "spa").rename(old)
    new.rename(target / "spa")
    shutil.rmtree(old, ignore_errors=True)
    shutil.copyfile(source / "nginx.conf", target / ".nginx.conf.new")
    (target / ".nginx.conf.new").chmod(0o644)
    (target / ".nginx.conf.new").replace(target / "nginx.conf")
    target.chmod(0o755)


def make_redis(config: Path, url: Path) -> None:
    """Creates the configuration and the URL together, because they share a password.

    Both are replaced if one is missing or the configuration is of an older version. A URL of another Redis than the
    service `redis` belongs to the operator and is kept.
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
        print(f"created {path.name}")


def write(path: Path, content: bytes, owner: int | None = None) -> None:
    """Replaces the file atomically, because the BFF reloads its files when they change."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        file.write(content)
    if owner is not None:
        os.chown(new, owner, -1)
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    copy_for_proxy(Path("/run/proxy"), Path(sys.argv[2]) / "proxy")
