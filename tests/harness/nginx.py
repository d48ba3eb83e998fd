"""A real nginx in front: with the directives that a proxy in front of us needs, or with the configuration we ship."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.places import ROOT
from tests.harness.ports import free_port

INSTALL = "nginx is not installed. Run: scripts/need nginx"

SHIPPED = ROOT / "deploy" / "nginx" / "nginx.conf"

CONFIG = """
worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $upgrade {{ default ""; ~*^websocket$ websocket; }}
    map $upgrade $connection_upgrade {{ default ""; websocket upgrade; }}
    upstream bff {{ server 127.0.0.1:{behind}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
            # Without a path here, so that the request target passes as it came.
            proxy_pass http://bff;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Upgrade $upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, behind: int) -> AsyncIterator[int]:
    """In front of the port `behind`; gives its own port."""
    port = free_port()
    async with running_nginx(folder, CONFIG.format(folder=folder, port=port, behind=behind), port):
        yield port


def shipped_config(folder: Path, port: int, replicas: Sequence[int]) -> str:
    """`deploy/nginx/nginx.conf` with nothing changed but where things are on this machine."""
    config = SHIPPED.read_text("utf-8").replace(" /tmp/", f" {folder}/")
    places = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "/run/proxy/spa": f"{folder}/spa",
        **{
            f"server unix:/run/sockets/bff-{number}.sock ": f"server 127.0.0.1:{at} "
            for number, at in enumerate(replicas, 1)
        },
    }
    for shipped, here in places.items():
        assert shipped in config, f"{SHIPPED.name} no longer says {shipped!r}"
        config = config.replace(shipped, here)
    return config


@asynccontextmanager
async def running_nginx(folder: Path, config: str, port: int) -> AsyncIterator[None]:
    """Runs until the end of the block; `port` is the one that `config` listens on."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert program is not None, INSTALL
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(config)
    arguments = [program, "-e", "stderr", "-p", folder, "-c", file, "-g", "daemon off;"]
    with (folder / "out.log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.poll() is None, (folder / "out.log").read_text()
                await asyncio.sleep(0.01)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)
