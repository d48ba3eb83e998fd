"""`make pin-images` against a registry on loopback: it writes exactly the digests that the registry states."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from scripts.pin_images import FILES, IMAGE
from tests.harness.places import ROOT

INDEX = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []})
TOKEN = "anonymous-token"


class Registry(BaseHTTPRequestHandler):
    """Gives each image an index of its own, to whoever has fetched a token."""

    missing = ""
    lies = False

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/token":
            assert parse_qs(url.query)["service"] == ["the registry"]
            self.answer(200, json.dumps({"token": TOKEN}))
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="the registry",scope="repository:x:pull"'
            self.answer(401, "{}", {"WWW-Authenticate": challenge})
        elif self.missing and self.missing in url.path:
            self.answer(404, "{}")
        else:
            assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
            told = digest("another" if self.lies else content(url.path))
            self.answer(200, content(url.path), {"Docker-Content-Digest": told})

    def answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


def content(path: str) -> str:
    return f"{INDEX}\n{path}"


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[tuple[str, type[Registry]]]:
    own = type("OwnRegistry", (Registry,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", own
        server.shutdown()
        thread.join()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in (*FILES, "scripts/pin_images.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def pin(checkout: Path, registry: str) -> subprocess.CompletedProcess[str]:
    """Without Docker and skopeo."""
    environ = {"PATH": str(checkout), **({"REGISTRY": registry} if registry else {})}
    command = [sys.executable, str(checkout / "scripts" / "pin_images.py")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=180)


def texts(checkout: Path) -> dict[str, str]:
    return {name: (checkout / name).read_text("utf-8") for name in FILES}


def test_every_image_gets_the_digest_of_the_registry_and_nothing_else_changes(
    checkout: Path, registry: tuple[str, type[Registry]]
) -> None:
    before = texts(checkout)
    done = pin(checkout, registry[0])
    assert done.returncode == 0, done.stderr
    after = texts(checkout)
    images = [found for text in after.values() for found in IMAGE.finditer(text)]
    assert {found["name"] for found in images} == {"nginx", "redis", "python"}
    for found in images:
        assert found["digest"] == digest(content(f"/v2/library/{found['name']}/manifests/{found['tag']}"))
    stripped = {name: IMAGE.sub(r"\g<before>\g<name>:\g<tag>", text) for name, text in after.items()}
    assert stripped == {name: IMAGE.sub(r"\g<before>\g<name>:\g<tag>", text) for name, text in before.items()}
    assert pin(checkout, registry[0]).returncode == 0, "again, over the digests that are there"
    assert texts(checkout) == after


@pytest.mark.parametrize("trouble", ["no registry", "nobody listens", "one is missing", "a digest that does not fit"])
def test_where_one_is_not_resolved_it_says_so_and_nothing_is_written(
    checkout: Path, registry: tuple[str, type[Registry]], trouble: str
) -> None:
    before, url = texts(checkout), registry[0]
    match trouble:
        case "no registry":
            url = ""
        case "nobody listens":
            url = "http://127.0.0.1:1"
        case "one is missing":
            registry[1].missing = "/redis/"
        case _:
            registry[1].lies = True
    done = pin(checkout, url)
    assert done.returncode == 1
    assert "Nothing was written." in done.stderr
    assert "redis:" in done.stderr
    assert "docker is not installed" in done.stderr
    assert texts(checkout) == before
