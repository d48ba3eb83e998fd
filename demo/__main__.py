"""`python -m demo`: runs a simulated Okta, a sample API and the BFF, each in its own process, until Ctrl-C.

The simulated org is empty at first: `bff okta apply` creates the app integration, as an operator would. It needs only
free ports on the loopback interface. Secrets are generated at the start and kept in memory; the session store is in a
temporary directory. Everything is removed at the end. DEMO_PORT the port to open in the browser (8080; the next free
one if that is taken) DEMO_ACCESS_TOKEN_LIFETIME lifetime of an access token in seconds (30, so that refreshes are
visible) DEMO_PUBLIC_URL the address at which a development server passes requests on to the BFF DEMO_DEVICE_BOUND
`off`, `offer` or `enforce`: whether sessions are bound to a key of the browser (off)
"""

import argparse
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Final

from demo.other_client import OtherClient, other_client
from demo.ports import Ports
from demo.simulator.people import PEOPLE

ROOT: Final = Path(__file__).resolve().parent.parent
DEFAULT_PORT: Final = 8080  # also where the Vite plugin of the npm package looks for the BFF
STARTS_TIMEOUT: Final = 60.0  # seconds; on a busy machine starting Python alone takes several
STOPS_TIMEOUT: Final = 3.0  # seconds; an open page keeps its streams open, so the shutdown does not wait longer
LOG_SHOWN: Final = 30  # lines
BOUND_LIFETIME: Final = 600  # seconds; the shortest, because a browser signs a few times only


class DemoFailed(Exception):
    """A process did not start, or exited. The message contains the end of its log."""


class Stopped(BaseException):
    """Raised by SIGINT or SIGTERM while the demo waits."""


class Child:
    """One process with its log in a file. `answers` is an address and a path that responds once it is ready."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
        self.name, self._log = name, log_of(name, directory)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=directory,  # away from a bff.toml in the current directory
                env={**environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C stops the processes in order, through this one
            )

    def wait_until_it_answers(self, port: int, path: str) -> None:
        """Raises DemoFailed when it exits first, or takes too long."""
        deadline = time.monotonic() + STARTS_TIMEOUT
        while _status(port, path) is None:
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"The {self.name} does not answer after {STARTS_TIMEOUT:.0f} seconds.\n{self._end()}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises DemoFailed when the process is gone."""
        if (code := self._process.poll()) is not None:
            raise DemoFailed(f"The {self.name} ended on its own, with exit code {code}.\n{self._end()}")

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOPS_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()[-LOG_SHOWN:]
        return "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"


def log_of(name: str, directory: Path) -> Path:
    return directory / f"{name.replace(' ', '-')}.log"


def _status(port: int, path: str, headers: Mapping[str, str] | None = None) -> int | None:
    """The status of a GET, None if nothing listens (yet)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def operate(arguments: Sequence[str], environ: Mapping[str, str], directory: Path) -> str:
    """Runs `bff ...` and returns its output. Raises DemoFailed if the exit code is not 0."""
    command, environ = [sys.executable, "-m", "bff", *arguments], {**environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, cwd=directory, capture_output=True, text=True, timeout=STARTS_TIMEOUT)
    if done.returncode != 0:
        raise DemoFailed(f"`bff {' '.join(arguments)}` ended with {done.returncode}.\n{done.stdout}{done.stderr}")
    return done.stdout


def public_url(ports: Ports) -> str:
    """The address that the browser opens: a development server in front of the BFF has its own."""
    return os.environ.get("DEMO_PUBLIC_URL", ports.public_url)


def device_bound() -> str:
    return os.environ.get("DEMO_DEVICE_BOUND", "off")


def development_hint(ports: Ports) -> str:
    """How a development server finds the BFF, if that is not at the port at which it looks by default."""
    if public_url(ports) == ports.public_url or ports.bff == DEFAULT_PORT:
        return ""
    return f"The development server has to be started with BFF_URL=http://127.0.0.1:{ports.bff}.\n"


def bff_environment(ports: Ports, api_token: str, delivery: str, directory: Path) -> dict[str, str]:
    """The BFF's environment. Only the addresses and the last two routes are specific to the demo.

    `delivery` is the Authorization header of security events.
    """
    api, control, other = (f"http://127.0.0.1:{port}" for port in (ports.api, ports.control, ports.other_client))
    routes = [
        {"prefix": "/api", "upstream": api},
        # EventSource cannot send a header, so this route relies on fetch metadata.
        {"prefix": "/api/time", "upstream": api, "csrf": "fetch-metadata", "methods": ["GET"]},
        {"prefix": "/api/socket", "upstream": api, "websocket": True},
        {"prefix": "/simulator", "upstream": control, "token": "none", "strip_prefix": True},
        {"prefix": "/other-client", "upstream": other, "token": "none", "strip_prefix": True},
    ]
    return {
        "BFF_ISSUER": ports.issuer,
        "BFF_PUBLIC_URL": public_url(ports),
        "BFF_SESSION_KEYS": secrets.token_urlsafe(32),
        "BFF_STORE": f"sqlite:///{directory / 'bff.db'}",
        "BFF_ROUTES": json.dumps(routes),
        "BFF_SPA_DIR": str(ROOT / "demo" / "spa"),
        "BFF_DEVICE_BOUND": device_bound(),
        "BFF_DEVICE_BOUND_LIFETIME": str(BOUND_LIFETIME),
        "BFF_LISTEN": f"127.0.0.1:{ports.bff}",
        "BFF_MANAGEMENT_LISTEN": "off",
        "BFF_LOG_LEVEL": "info",
        "BFF_LOG_FORMAT": "text",
        "BFF_SECURITY_EVENTS": "push",
        "BFF_SECURITY_EVENTS_AUTHORIZATION": delivery,
        # For `bff okta` and `bff doctor`; a running BFF does not read these.
        "BFF_OKTA_API_TOKEN": api_token,
        "BFF_OKTA_GROUPS": "Everyone",
    }


def start(
    ports: Ports, lifetime: int, directory: Path, started: Callable[[Child], Any]
) -> tuple[list[Child], Mapping[str, str]]:
    """Starts the three, and returns them and the BFF's environment when all respond.

    Raises DemoFailed. `started` is called with each process at once.
    """
    bare = {name: value for name, value in os.environ.items() if not name.upper().startswith("BFF_")}
    api_token, delivery = secrets.token_urlsafe(32), f"Bearer {secrets.token_urlsafe(32)}"
    env_file, children = directory / "okta.env", []

    def child(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Child:
        started_child = Child(name, arguments, environ, directory)
        children.append(started_child)
        started(started_child)
        return started_child

    okta_arguments = {
        "--port": ports.okta,
        "--control-port": ports.control,
        "--access-token-lifetime": lifetime,
        "--rotation": "rotate",
        "--grace": 30,
        "--event-stream": f"{ports.public_url}/auth/security-events",
        "--bff-log": log_of("BFF", directory),
    }
    flat = [str(part) for pair in okta_arguments.items() for part in pair]
    # Not on the command line, which other users of the machine can read.
    okta_secrets = {"SIMULATOR_API_TOKEN": api_token, "SIMULATOR_EVENT_STREAM_AUTHORIZATION": delivery}
    okta = child("simulated Okta", ["demo.simulator", "--empty-org", *flat], {**bare, **okta_secrets})
    api = child("sample API", ["demo.api", "--port", str(ports.api), "--issuer", ports.issuer], bare)
    okta.wait_until_it_answers(ports.okta, "/oauth2/default/.well-known/openid-configuration")
    okta.wait_until_it_answers(ports.control, "/state")
    api.wait_until_it_answers(ports.api, "/")
    environ = {**bare, **bff_environment(ports, api_token, delivery, directory)}
    operate(["okta", "apply", "--env-file", str(env_file)], environ, directory)
    environ |= dict(line.split("=", 1) for line in env_file.read_text("utf-8").splitlines())
    bff = child("BFF", ["bff", "serve"], environ)
    bff.wait_until_it_answers(ports.bff, "/auth/session")
    return children, environ


def check(ports: Ports, environ: Mapping[str, str], directory: Path) -> None:
    """Runs `bff doctor` and requests the main endpoints without a browser.

    Raises DemoFailed for the first unexpected status.
    """
    print(operate(["doctor"], environ, directory))
    page = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Host": f"localhost:{ports.bff}"}
    call = {"X-CSRF": "1", "Sec-Fetch-Site": "same-origin", "Host": f"localhost:{ports.bff}"}
    requests = [
        ("/", page, 200, "the app's page"),
        ("/app.js", call, 200, "the app's script"),
        ("/auth/session", call, 200, "the session endpoint"),
        ("/auth/login", page, 303, "the redirect to the sign-in page"),
        ("/api/orders", call, 401, "the API without a session"),
        ("/api/orders", {"Host": page["Host"]}, 403, "the API without the CSRF header"),
        ("/simulator/state", call, 200, "the simulator's state"),
        ("/other-client/state", call, 200, "the other client's state"),
    ]
    for path, headers, expected, what in requests:
        status = _status(ports.bff, path, headers)
        print(f"{('ok' if status == expected else 'WRONG'):15}  {status}  {path:18} {what}")
        if status != expected:
            raise DemoFailed(f"{path} answered {status}, not {expected}.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="The BFF with a simulated Okta and a sample API."
    )
    parser.add_argument(
        "--check", action="store_true", help="start everything, run `bff doctor`, check the endpoints, and stop"
    )
    parsed = parser.parse_args(arguments)
    ports = Ports.choose(int(os.environ.get("DEMO_PORT", str(DEFAULT_PORT))))
    lifetime = int(os.environ.get("DEMO_ACCESS_TOKEN_LIFETIME", "30"))

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second signal is ignored during the orderly shutdown
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bff-demo-")))
            other = OtherClient(public_url(ports), ports.bff, device_bound(), BOUND_LIFETIME)
            stack.enter_context(other_client(other, ports.other_client))
            children, environ = start(ports, lifetime, directory, stack.enter_context)
            if parsed.check:
                check(ports, environ, directory)
                return 0
            person = PEOPLE[0]
            print(
                f"Open {public_url(ports)} and sign in as {person.login} with the password {person.password}. "
                "Ctrl-C stops the demo.\n"
                f"{development_hint(ports)}The BFF logs to {log_of('BFF', directory)}, which is there until then.",
                flush=True,
            )
            while True:
                for child in children:
                    child.check()
                time.sleep(0.5)
    except Stopped:
        return 0
    except DemoFailed as failed:
        print(f"The demo stopped. {failed}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
