"""Real redis-server processes on free loopback ports: one server, a cluster of three, a service under Sentinel."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.harness.ports import free_port
from tests.harness.stopping import continue_process, stop_process

INSTALL = "redis-server is not installed. Run: scripts/need redis-server"
STARTED_WITHIN = 60.0  # seconds


class RedisServer:
    """One process. It can be killed, stopped in its tracks, and started again on the same port and directory."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        sentinel: bool = False,
        config: Path | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        """`config` takes the place of our own options; `credentials` are a user of it that may ask TIME."""
        program = shutil.which("redis-server")
        assert program is not None, INSTALL
        self.directory, self.port = directory, free_port()
        directory.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
        if sentinel:
            # Sentinel rewrites its configuration, so it must be a file.
            config = directory / "sentinel.conf"
            config.write_text("\n".join(options) + f"\nport {self.port}\nbind 127.0.0.1\ndir {directory}\n")
            arguments = [str(config), "--sentinel"]
        elif config is not None:
            arguments = [str(config), "--port", str(self.port), "--bind", "127.0.0.1"]
        else:
            arguments += ["--save", "", "--appendonly", "no"]
        self._command = [program, *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials = dict(zip(("username", "password"), credentials or (), strict=False))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(lambda: self.ask("TIME" if self._credentials else "PING"))  # PING is no right of the BFF's user

    def stop(self) -> None:
        if self._process is not None:
            continue_process(self._process.pid)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        stop_process(self._process.pid)

    def thaw(self) -> None:
        assert self._process is not None
        continue_process(self._process.pid)

    def ask(self, *command: str | bytes | int) -> Any:
        """Sends one command, as an operator would."""
        with redis.Redis(port=self.port, socket_timeout=30.0, protocol=2, **self._credentials) as client:
            return client.execute_command(*command)


def until(condition: Any, within: float = STARTED_WITHIN) -> None:
    """Waits for `condition` to be true; an error of Redis means not yet."""
    deadline = time.monotonic() + within
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def one_server(directory: Path, *options: str, **more: Any) -> Iterator[RedisServer]:
    server = RedisServer(directory, *options, **more)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def cluster(directory: Path) -> Iterator[list[RedisServer]]:
    """Three masters that share the slots, without replicas."""
    servers = []
    try:
        for number in range(3):
            # A pause of a busy machine is no failure: nothing here fails over.
            options = (
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                str(free_port()),
                "--cluster-node-timeout",
                "60000",
            )
            server = RedisServer(directory / str(number), *options, "--cluster-require-full-coverage", "no")
            servers.append(server)
            server.start()
            server.ask("CLUSTER", "ADDSLOTSRANGE", number * 5461, 16383 if number == 2 else number * 5461 + 5460)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        bus = servers[0].ask("CONFIG", "GET", "cluster-port")
        port = int(bus["cluster-port"] if isinstance(bus, dict) else bus[1])
        for server in servers[1:]:
            until(lambda server=server: _meets(server, servers[0], port))
        for server in servers:
            until(lambda server=server: _sees_all_slots(server))
        yield servers
    finally:
        for server in servers:
            server.stop()


def _meets(server: RedisServer, first: RedisServer, bus: int) -> bool:
    """Asked for again until they know each other: a handshake that takes longer than the node timeout is given up."""
    server.ask("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
    time.sleep(0.2)
    return first.ask("CLUSTER", "MYID") in server.ask("CLUSTER", "NODES")


def _sees_all_slots(server: RedisServer) -> bool:
    info = server.ask("CLUSTER", "INFO")
    if not isinstance(info, dict):
        info = dict(line.split(":") for line in info.decode().split("\r\n") if line)
    return bool(info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == 16384)


class Watched:
    """A master, its replica, and a Sentinel that makes the replica the master when the master is gone."""

    def __init__(self, directory: Path) -> None:
        self.servers = [RedisServer(directory / "a"), RedisServer(directory / "b")]
        self.sentinel = RedisServer(
            directory / "sentinel",
            f"sentinel monitor bff 127.0.0.1 {self.servers[0].port} 1",
            "sentinel down-after-milliseconds bff 60000",  # a pause of a busy machine is no failure
            "sentinel failover-timeout bff 3000",
            sentinel=True,
        )

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/bff"

    def start(self) -> None:
        master, replica = self.servers
        master.start()
        replica.start()
        replica.ask("REPLICAOF", "127.0.0.1", master.port)
        until(lambda: len(master.ask("ROLE")[2]) == 1)
        self.sentinel.start()
        until(lambda: len(self.sentinel.ask("SENTINEL", "REPLICAS", "bff")) == 1)

    def notice_soon(self) -> None:
        """From now on the master is given up after half a second of silence."""
        self.sentinel.ask("SENTINEL", "SET", "bff", "down-after-milliseconds", 500)

    def master(self) -> RedisServer:
        """Whom Sentinel says is the master now."""
        address = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "bff")
        return next(server for server in self.servers if server.port == int(address[1]))

    def stop(self) -> None:
        for server in (self.sentinel, *self.servers):
            server.stop()


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    servers = Watched(directory)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
