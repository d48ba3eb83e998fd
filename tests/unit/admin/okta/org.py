"""A simulated org with a Management API, and an operator at a terminal in front of it."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bff.base64url import encode_base64url
from bff.cli.main import main
from bff.session.keyring import new_key
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.bff_command import bff
from tests.harness.plain_http import plain_http

API_TOKEN = "canary-api-token-0123456789abcdef"
PUBLIC_URL = "https://app.example.com"
Json = dict[str, Any]


class Result:
    """What a command ended with. No secret may be in what it printed."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.stdout)
        return found

    @property
    def findings(self) -> dict[str, Json]:
        """Of `bff doctor --json`, by name."""
        return {one["name"]: one for one in self.json["findings"]}


class Operator:
    """`environ` is what the operator's shell exports, `here` the directory the commands run in."""

    def __init__(self, okta: RunningSimulator, here: Path) -> None:
        self.okta, self.here, self.session_key = okta, here, encode_base64url(new_key())
        self.environ = {
            "BFF_ISSUER": okta.issuer,
            "BFF_PUBLIC_URL": PUBLIC_URL,
            "BFF_OKTA_API_TOKEN": API_TOKEN,
            "BFF_OKTA_GROUPS": "Everyone",
        }

    @property
    def env_file(self) -> Path:
        return self.here / "var" / "okta.env"

    def held(self) -> dict[str, str]:
        """What the env file says."""
        return dict(line.split("=", 1) for line in self.env_file.read_text().splitlines())

    async def okta_command(self, *arguments: str, shows_secret: bool = False) -> Result:
        """`bff okta ...` in a thread of this process: hundreds of runs, each without the start of an interpreter."""
        if not {"--env-file", "--secret-file", "--show-secret"} & set(arguments):
            arguments = (*arguments, "--env-file", str(self.env_file))
        done = await asyncio.to_thread(self._run, ("okta", *arguments), self.environ)
        return self._looked_at(done, shows_secret=shows_secret)

    async def doctor(self, *arguments: str, without: Sequence[str] = (), **settings: str) -> Result:
        """`bff doctor` in a thread of this process, with what a running BFF is given; `without` some of it."""
        environ = {name: value for name, value in (self.served() | settings).items() if name not in without}
        done = await asyncio.to_thread(self._run, ("doctor", *arguments), environ)
        return self._looked_at(done, shows_secret=False)

    def served(self) -> dict[str, str]:
        """What a running BFF is given: what `apply` wrote, what the shell exports, a key and a store."""
        own = {"BFF_SESSION_KEYS": self.session_key, "BFF_STORE": f"sqlite:///{self.here / 'bff.db'}"}
        return {**own, **(self.held() if self.env_file.exists() else {}), **self.environ}

    async def okta_process(self, *arguments: str) -> Result:
        """The same as a process of its own."""
        done = await asyncio.to_thread(bff, "okta", *arguments, environ=self.environ, cwd=self.here)
        return self._looked_at(Result(done.returncode, done.stdout, done.stderr), shows_secret=False)

    def _run(self, arguments: Sequence[str], environ: dict[str, str]) -> Result:
        stdout, stderr = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, environ, clear=True), redirect_stdout(stdout), redirect_stderr(stderr):
            try:
                code = main(arguments)
            except SystemExit as wrong_command_line:
                code = int(str(wrong_command_line.code))
        return Result(code, stdout.getvalue(), stderr.getvalue())

    def _looked_at(self, done: Result, *, shows_secret: bool) -> Result:
        printed = done.stdout + done.stderr
        assert API_TOKEN not in printed
        assert self.session_key not in printed
        assert "Traceback" not in printed, printed
        if not shows_secret:
            for app in self.okta.control.apps:
                assert not [secret for secret in app.secrets if secret.value in printed]
        return done

    async def apply(self) -> str:
        """The client id."""
        done = await self.okta_command("apply", "--json")
        assert done.code == 0, done.stdout + done.stderr
        return str(done.json["client_id"])

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """The Management API as an administrator's script would call it."""
        async with plain_http() as http:
            answer = await http.request(
                method,
                f"{self.okta.base_url}/api/v1/{path}",
                headers={"authorization": f"SSWS {API_TOKEN}"},
                **({} if body is None else {"json": body}),
            )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def change_app(self, client_id: str, change: Callable[[Json], object]) -> None:
        """What somebody does in the Admin Console: the app is read, changed and put back."""
        app = await self.api("GET", f"apps/{client_id}")
        change(app)
        await self.api("PUT", f"apps/{client_id}", app)


@asynccontextmanager
async def empty_org(here: Path, **more: Any) -> AsyncIterator[Operator]:
    """A new org, as Okta gives one: no app, and no access policy on the server `default`."""
    config = SimulatorConfig(**{"empty_org": True, "api_token": API_TOKEN, **more})
    async with running_simulator(config) as okta:
        okta.control.settings(policy_exists=False)
        yield Operator(okta, here)


def client_of(app: Json) -> Json:
    found: Json = app["settings"]["oauthClient"]
    return found
