"""`make pin-images`: writes the digest behind the tag of every base image, in docker-compose.yml and the Dockerfiles.

A tag can be moved, a digest cannot. Each is asked for at the registry, in the first of these ways that answers:

1. `docker buildx imagetools inspect`
2. `skopeo inspect`
3. the registry's HTTP API (OCI Distribution Specification 1.1), at the host that the image's name begins with, or at
   $REGISTRY (like https://registry.example.com) for a name without one; anonymous, with a token where it wants one

Nothing is written unless every image has been answered for: otherwise it ends with 1 and says which one has not.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILES: Final = ("docker-compose.yml", "Dockerfile", "deploy/demo.Dockerfile")
# An image that is pulled: with a name, a version and perhaps a digest. What is built here has a variable for a tag.
IMAGE: Final = re.compile(
    r"(?m)^(?P<before>\s+image: |ARG \w+=)"
    r"(?P<name>[a-z0-9][a-z0-9./_-]*(?::\d+/[a-z0-9./_-]+)?):(?P<tag>\w[\w.-]*)(?:@(?P<digest>\S+))?$"
)
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ANSWER_TIMEOUT: Final = 60.0  # seconds
LARGEST: Final = 4 * 1024 * 1024  # bytes of a manifest


class NoAnswerError(Exception):
    """Why one way gave no digest."""


def by_docker(name: str, tag: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest.Digest}}", f"{name}:{tag}"]
    return printed(command).strip('"')


def by_skopeo(name: str, tag: str) -> str:
    """The digest of what the registry holds, for all platforms: that of the manifest as it came."""
    host, repository = place_of(name)
    command = ["skopeo", "inspect", "--raw", f"docker://{f'{host}/{repository}' if host else name}:{tag}"]
    return digest_of(printed(command, strip=False).encode())


def printed(command: list[str], *, strip: bool = True) -> str:
    if shutil.which(command[0]) is None:
        raise NoAnswerError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_TIMEOUT)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]} did not answer within {ANSWER_TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise NoAnswerError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip() if strip else done.stdout


def by_http(name: str, tag: str) -> str:
    host, repository = place_of(name)
    base = f"https://{host}" if host else os.environ.get("REGISTRY", "").rstrip("/")
    if not base:
        raise NoAnswerError("REGISTRY is not set")
    url = f"{base}/v2/{repository}/manifests/{tag}"
    try:
        try:
            manifest, told = fetched(url)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            manifest, told = fetched(url, token(error.headers.get("WWW-Authenticate", "")))
    except (OSError, ValueError, KeyError) as error:
        raise NoAnswerError(f"{base}: {error}") from None
    digest = digest_of(manifest)
    if told not in (None, digest):
        raise NoAnswerError(f"{base}: the manifest of {name}:{tag} is not what its digest says")
    return digest


def place_of(name: str) -> tuple[str, str]:
    """Host and repository. As Docker reads it: a first part without a dot or a port is no host."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first):
        return first, rest
    return "", name if slash else f"library/{name}"


def fetched(url: str, bearer: str | None = None) -> tuple[bytes, str | None]:
    headers = {"Accept": ", ".join(MANIFESTS)}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    if not url.startswith(("https://", "http://")):
        raise ValueError("the registry leads to an address that is not http")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT) as answer:  # noqa: S310
        return answer.read(LARGEST), answer.headers.get("Docker-Content-Digest")


def token(challenge: str) -> str:
    """The anonymous token that `WWW-Authenticate: Bearer realm=...,service=...,scope=...` leads to."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
    answer, _ = fetched(f"{asked['realm']}?{query}")
    granted = json.loads(answer)
    return str(granted.get("token") or granted["access_token"])


def digest_of(manifest: bytes) -> str:
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


WAYS: Final[tuple[Callable[[str, str], str], ...]] = (by_docker, by_skopeo, by_http)


def resolved(name: str, tag: str) -> str:
    """Raises NoAnswerError with what each way said."""
    told = []
    for way in WAYS:
        try:
            digest = way(name, tag)
        except NoAnswerError as error:
            told.append(str(error))
            continue
        if DIGEST.fullmatch(digest):
            return digest
        told.append(f"{way.__name__}: {digest!r} is no digest")
    raise NoAnswerError("; ".join(told))


def main(root: Path) -> int:
    texts = {root / name: (root / name).read_text("utf-8") for name in FILES}
    images = sorted({(found["name"], found["tag"]) for text in texts.values() for found in IMAGE.finditer(text)})
    digests, failures = {}, []
    for name, tag in images:
        try:
            digests[name, tag] = resolved(name, tag)
            print(f"{name}:{tag}@{digests[name, tag]}")
        except NoAnswerError as error:
            failures.append(f"{name}:{tag}: {error}")
    if failures or not images:
        print("Nothing was written. Not resolved:", *failures, sep="\n  ", file=sys.stderr)
        return 1

    def pinned(found: re.Match[str]) -> str:
        name, tag = found["name"], found["tag"]
        return f"{found['before']}{name}:{tag}@{digests[name, tag]}"

    for path, text in texts.items():
        path.write_text(IMAGE.sub(pinned, text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
