"""`make pin-images` pins every base image in docker-compose.yml and the Dockerfiles to the digest of its tag.

A tag can be moved, a digest cannot. The digest comes from the registry, by the first of these methods that succeeds:

1. `docker buildx imagetools inspect`
2. `skopeo inspect`
3. the registry's HTTP API (OCI Distribution Specification 1.1), at the host in the image's name, or at $REGISTRY
   (like https://registry.example.com) for a name without a host; anonymously, with a token if the registry requires it

Files are written only if every image was resolved. Otherwise the exit status is 1, and the output lists the failures.
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
# An image that is pulled, with a name, a tag and an optional digest. The tags of images built here are variables.
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
RESPONSE_TIMEOUT: Final = 60.0  # seconds
MANIFEST_LIMIT: Final = 4 * 1024 * 1024  # bytes


class ResolutionError(Exception):
    """A method returned no digest; the message says why."""


def by_docker(name: str, tag: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{json .Manifest.Digest}}", f"{name}:{tag}"]
    return output_of(command).strip('"')


def by_skopeo(name: str, tag: str) -> str:
    """Returns the digest of the raw manifest, which covers all platforms."""
    host, repository = split_name(name)
    command = ["skopeo", "inspect", "--raw", f"docker://{f'{host}/{repository}' if host else name}:{tag}"]
    return digest_of(output_of(command, strip=False).encode())


def output_of(command: list[str], *, strip: bool = True) -> str:
    if shutil.which(command[0]) is None:
        raise ResolutionError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESPONSE_TIMEOUT)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ResolutionError(f"{command[0]} did not respond within {RESPONSE_TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise ResolutionError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.strip() if strip else done.stdout


def by_http(name: str, tag: str) -> str:
    host, repository = split_name(name)
    base = f"https://{host}" if host else os.environ.get("REGISTRY", "").rstrip("/")
    if not base:
        raise ResolutionError("REGISTRY is not set")
    url = f"{base}/v2/{repository}/manifests/{tag}"
    try:
        try:
            manifest, declared_digest = fetch(url)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            manifest, declared_digest = fetch(url, token(error.headers.get("WWW-Authenticate", "")))
    except (OSError, ValueError, KeyError) as error:
        raise ResolutionError(f"{base}: {error}") from None
    digest = digest_of(manifest)
    if declared_digest not in (None, digest):
        raise ResolutionError(f"{base}: the manifest of {name}:{tag} does not match the digest in the response")
    return digest


def split_name(name: str) -> tuple[str, str]:
    """Splits a name into host and repository. As in Docker, a first part without a dot or a port is not a host."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first):
        return first, rest
    return "", name if slash else f"library/{name}"


def fetch(url: str, bearer: str | None = None) -> tuple[bytes, str | None]:
    headers = {"Accept": ", ".join(MANIFESTS)}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    if not url.startswith(("https://", "http://")):
        raise ValueError("the registry refers to an address that is not http or https")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=RESPONSE_TIMEOUT) as response:  # noqa: S310
        return response.read(MANIFEST_LIMIT), response.headers.get("Docker-Content-Digest")


def token(challenge: str) -> str:
    """Obtains the anonymous token that `WWW-Authenticate: Bearer realm=...,service=...,scope=...` refers to."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({name: parameters[name] for name in ("service", "scope") if name in parameters})
    body, _ = fetch(f"{parameters['realm']}?{query}")
    granted = json.loads(body)
    return str(granted.get("token") or granted["access_token"])


def digest_of(manifest: bytes) -> str:
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


METHODS: Final[tuple[Callable[[str, str], str], ...]] = (by_docker, by_skopeo, by_http)


def resolve(name: str, tag: str) -> str:
    """Returns the digest by the first method that succeeds. Raises ResolutionError with the failure of each."""
    failures = []
    for method in METHODS:
        try:
            digest = method(name, tag)
        except ResolutionError as error:
            failures.append(str(error))
            continue
        if DIGEST.fullmatch(digest):
            return digest
        failures.append(f"{method.__name__}: {digest!r} is not a digest")
    raise ResolutionError("; ".join(failures))


def main(root: Path) -> int:
    texts = {root / name: (root / name).read_text("utf-8") for name in FILES}
    images = sorted({(match["name"], match["tag"]) for text in texts.values() for match in IMAGE.finditer(text)})
    digests, failures = {}, []
    for name, tag in images:
        try:
            digests[name, tag] = resolve(name, tag)
            print(f"{name}:{tag}@{digests[name, tag]}")
        except ResolutionError as error:
            failures.append(f"{name}:{tag}: {error}")
    if failures or not images:
        print("Nothing was written. Not resolved:", *failures, sep="\n  ", file=sys.stderr)
        return 1

    def with_digest(match: re.Match[str]) -> str:
        name, tag = match["name"], match["tag"]
        return f"{match['before']}{name}:{tag}@{digests[name, tag]}"

    for path, text in texts.items():
        path.write_text(IMAGE.sub(with_digest, text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
