"""Makes the secret files a deployment needs, each only where it is missing. Run by the service `secrets` as root.

client_secret    Okta's client secret; made up here for the demo, put your own in its place
session_keys     the key ring that seals cookies and records (`bff keys new`), newest first
redis.conf       Redis: its password, persistence, and that it never evicts a session
store_url        where the BFF finds that Redis

Each file, yours too, ends up readable by the one who reads it and nobody else on the host: run it again after a change.
"""

import os
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

BFF = 10001  # the user that the image runs as
REDIS = 999  # the user that the official images of Redis and Valkey drop to


def main(directory: Path) -> None:
    password = secrets.token_urlsafe(32)
    redis = f"requirepass {password}\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\ndir /data\n"
    key = urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    # Redis and its URL belong together: one missing means both are new.
    pair = {"redis.conf": redis, "store_url": f"redis://:{password}@redis:6379/0"}
    if not all((directory / name).exists() for name in pair):
        for name, text in pair.items():
            write(directory / name, text, replace=True)
    write(directory / "client_secret", secrets.token_urlsafe(48))
    write(directory / "session_keys", key + "\n")
    for name in ("client_secret", "session_keys", "store_url", "redis.conf"):
        os.chown(directory / name, REDIS if name == "redis.conf" else BFF, -1)
        (directory / name).chmod(0o400)


def write(path: Path, text: str, *, replace: bool = False) -> None:
    if path.exists() and not replace:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    print(f"made {path.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
