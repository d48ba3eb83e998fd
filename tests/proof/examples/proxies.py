"""The example configurations, run as they lie in `examples/`: addresses, ports and paths are put in their place."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tests.harness.certificates import Issued
from tests.harness.places import ROOT

EXAMPLES: Final = ROOT / "examples"
PROGRAMS: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"

Mode: TypeAlias = Literal["proxy", "forward-auth"]


@dataclass(frozen=True)
class Places:
    """Where the parts of this one test are. `plain` is the port for HTTP without TLS."""

    port: int
    plain: int
    bff: int
    verify: int
    api: int
    certificate: Issued
    folder: Path


def program(name: str) -> str:
    """Where it is. Fails where it is not installed."""
    found = shutil.which(name, path=PROGRAMS)
    assert found is not None, f"{name} is not installed. Run: scripts/need {name}"
    return found


def settings_of(mode: Mode) -> dict[str, str]:
    """The BFF's settings as the example has them."""
    lines = (EXAMPLES / f"{mode}.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled_in(path: Path, words: Mapping[str, str]) -> str:
    """The example with our words in the place of its own; each of them has to be there."""
    text = path.read_text("utf-8")
    for example, ours in words.items():
        assert example in text, f"{path.name} does not say {example!r}"
        text = text.replace(example, ours)
    return text


@asynccontextmanager
async def nginx(mode: Mode, at: Places) -> AsyncIterator[None]:
    temporary = " ".join(
        f"{module}_temp_path {at.folder}/{module};" for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    words = {
        "worker_processes auto;": "worker_processes 1;",
        "http {\n": f"http {{\n    error_log stderr warn; {temporary}\n",
        "listen 80;": f"listen 127.0.0.1:{at.plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{at.port} ssl",
        "return 308 https://app.example.com": f"return 308 https://localhost:{at.port}",
        "app.example.com": "localhost",
        "/etc/nginx/tls/fullchain.pem": str(at.certificate.cert),
        "/etc/nginx/tls/key.pem": str(at.certificate.key),
        **_places(mode, at),
    }
    config = at.folder / "nginx.conf"
    config.write_text(filled_in(EXAMPLES / "nginx" / f"{mode}.conf", words))
    # Its workers would drop to a user that may not read the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    whole = f"daemon off; pid {at.folder}/nginx.pid; {user}"
    async with _running("nginx", ["-e", "stderr", "-p", str(at.folder), "-c", str(config), "-g", whole], at):
        yield


@asynccontextmanager
async def caddy(mode: Mode, at: Places) -> AsyncIterator[None]:
    words = {
        "\napp.example.com {": f"\nhttps://localhost:{at.port} {{",
        "/etc/caddy/tls/fullchain.pem": str(at.certificate.cert),
        "/etc/caddy/tls/key.pem": str(at.certificate.key),
        **_places(mode, at),
    }
    ours = f"{{\n\tadmin off\n\thttp_port {at.plain}\n\tdefault_bind 127.0.0.1\n}}\n"
    config = at.folder / "Caddyfile"
    config.write_text(ours + filled_in(EXAMPLES / "caddy" / f"{mode}.Caddyfile", words))
    async with _running("caddy", ["run", "--adapter", "caddyfile", "--config", str(config)], at):
        yield


def _places(mode: Mode, at: Places) -> dict[str, str]:
    words = {"bff:8080": f"127.0.0.1:{at.bff}", "/srv/spa": str(at.folder / "spa")}
    if mode == "forward-auth":
        words |= {
            "bff:8081": f"127.0.0.1:{at.verify}",
            "api:9000": f"127.0.0.1:{at.api}",
            "/srv/protected": str(at.folder / "protected"),
        }
    return words


@asynccontextmanager
async def _running(name: str, arguments: list[str], at: Places) -> AsyncIterator[None]:
    """The program until the block ends, from when it listens."""
    log = at.folder / f"{name}.log"
    environ = {"HOME": str(at.folder), "XDG_DATA_HOME": str(at.folder), "XDG_CONFIG_HOME": str(at.folder)}
    with log.open("wb") as out:
        process = subprocess.Popen([program(name), *arguments], env={**os.environ, **environ}, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
                    writer.close()
                    break
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)
