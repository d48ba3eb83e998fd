"""The environment of all contenders: an upstream, the simulated Okta and Redis on the load core, and the ports."""

import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import LOAD_CORE, Child, until
from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from tests.harness.ports import free_port

CLIENT_ID, CLIENT_SECRET = "0oabenchclient000001", "bench-client-secret-0123456789abcdef"
LARGE = 100 * 1024 * 1024  # bytes


@dataclass
class World:
    directory: Path
    stack: ExitStack
    upstream: int = field(default_factory=free_port)
    sink: int = field(default_factory=free_port)
    okta: int = field(default_factory=free_port)
    redis: int = field(default_factory=free_port)
    public: int = field(default_factory=free_port)
    inner: int = field(default_factory=free_port)
    forward_auth: int = field(default_factory=free_port)
    session_key: str = field(default_factory=lambda: encode_base64url(new_key()), repr=False)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.okta}/oauth2/default"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.public}"

    def child(self, name: str, arguments: list[str], core: int | str, environ: dict[str, str] | None = None) -> Child:
        child = Child(name, arguments, self.directory, core, environ)
        self.stack.callback(child.stop)
        return child

    def start(self) -> None:
        (self.directory / "html" / "api").mkdir(parents=True)
        (self.directory / "html" / "api" / "kib").write_bytes(b"x" * 1024)
        (self.directory / "html" / "api" / "large").write_bytes(b"x" * LARGE)
        upstream = (
            f"listen 127.0.0.1:{self.upstream} backlog=4096; root {self.directory}/html; default_type text/plain;"
            " keepalive_requests 10000000; location = /api/sink {"
            f" client_max_body_size 0; proxy_request_buffering off; proxy_pass http://127.0.0.1:{self.sink}; }}"
        )
        self.nginx("upstream", f"server {{ {upstream} }}", LOAD_CORE)
        self.child("sink", [sys.executable, "-m", "bench.sink", str(self.sink)], LOAD_CORE)
        self.child("redis", ["redis-server", "--port", str(self.redis), "--save", ""], LOAD_CORE)
        okta = ["-m", "demo.simulator", "--port", str(self.okta), "--control-port", str(free_port())]
        okta += ["--client-id", CLIENT_ID, "--redirect-uri", f"{self.url}/authorization-code/callback"]
        okta += ["--post-logout-redirect-uri", f"{self.url}/", "--access-token-lifetime", "7200"]
        self.child("okta", [sys.executable, *okta], LOAD_CORE, {"SIMULATOR_CLIENT_SECRET": CLIENT_SECRET})
        until(lambda: answers(f"{self.issuer}/.well-known/openid-configuration"), "the simulated Okta")
        until(lambda: answers(f"http://127.0.0.1:{self.upstream}/api/kib"), "the upstream")

    def nginx(self, name: str, http: str, core: int) -> Child:
        config = self.directory / f"{name}.conf"
        config.write_text(
            f"daemon off; user root; worker_processes 1; pid {self.directory}/{name}.pid;"
            f" error_log {self.directory}/{name}.err;"
            f" events {{ worker_connections 4096; }} http {{ access_log off; keepalive_requests 10000000;"
            f" client_body_temp_path {self.directory}/{name}-body; proxy_temp_path {self.directory}/{name}-proxy;"
            f" fastcgi_temp_path {self.directory}/f; uwsgi_temp_path {self.directory}/u;"
            f" scgi_temp_path {self.directory}/s;"
            f" {http} }}\n"
        )
        return self.child(name, ["/usr/sbin/nginx", "-c", str(config), "-e", "stderr"], core)


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code != 502  # 502: the proxy runs, but its upstream does not yet
    except OSError:
        return False
