"""A simulated Okta org with a Management API, and an operator who runs `bff okta` and `bff doctor` against it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from demo.simulator.app_integrations import AppIntegration
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.bff_command import call_bff
from tests.harness.plain_http import plain_http

API_TOKEN = "canary-api-token-0123456789abcdef"
PUBLIC_URL = "https://app.example.com"
Json = dict[str, Any]


class Result:
    """What a command ended with."""

    def __init__(self, done: CompletedProcess[str]) -> None:
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> Json:
        document: Json = json.loads(self.stdout)
        return document

    @property
    def differences(self) -> dict[str, Json]:
        """Of `bff okta plan --json`, by name."""
        return {difference["name"]: difference for difference in self.json["differences"]}

    @property
    def findings(self) -> dict[str, Json]:
        """Of `bff doctor --json`, by name."""
        return {finding["name"]: finding for finding in self.json["findings"]}


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
        """Where the commands write the credentials unless another file is named."""
        return self.here / "var" / "okta.env"

    def held(self) -> dict[str, str]:
        """The variables of the env file."""
        return dict(line.split("=", 1) for line in self.env_file.read_text().splitlines())

    def served(self) -> dict[str, str]:
        """What a running BFF is given: what `apply` wrote, what the shell exports, a key and a store."""
        own = {"BFF_SESSION_KEYS": self.session_key, "BFF_STORE": f"sqlite:///{self.here / 'bff.db'}"}
        return {**own, **(self.held() if self.env_file.exists() else {}), **self.environ}

    async def bff_okta(self, *arguments: str, shows_secret: bool = False, terminal_input: str = "") -> Result:
        """Runs `bff okta`; with `terminal_input` on a terminal, where that is typed."""
        return await self._run(("okta", *arguments), self.environ, terminal_input, shows_secret=shows_secret)

    async def doctor(self, *arguments: str, without: Sequence[str] = (), **settings: str) -> Result:
        """Runs `bff doctor` with what a running BFF is given, `without` some of it."""
        environ = {name: value for name, value in (self.served() | settings).items() if name not in without}
        return await self._run(("doctor", *arguments), environ)

    async def _run(
        self, arguments: Sequence[str], environ: dict[str, str], terminal_input: str = "", *, shows_secret: bool = False
    ) -> Result:
        def run() -> CompletedProcess[str]:
            return call_bff(*arguments, environ=environ, cwd=self.here, terminal_input=terminal_input)

        done = Result(await asyncio.to_thread(run))  # a thread: the org answers from this loop
        printed = done.stdout + done.stderr
        assert API_TOKEN not in printed
        assert self.session_key not in printed
        if not shows_secret:
            for app in self.okta.control.apps:
                assert not [secret for secret in app.secrets if secret.value in printed]
        return done

    async def apply(self) -> str:
        """Returns the client id."""
        done = await self.bff_okta("apply", "--json")
        assert done.code == 0, done.stdout + done.stderr
        return str(done.json["client_id"])

    async def applied_app(self) -> AppIntegration:
        return self.app(await self.apply())

    def app(self, client_id: str) -> AppIntegration:
        app = self.okta.control.apps.of_client(client_id)
        assert app is not None
        return app

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
        """As in the Admin Console: the app is read, changed and put back."""
        app = await self.api("GET", f"apps/{client_id}")
        change(app)
        await self.api("PUT", f"apps/{client_id}", app)

    def writes(self) -> list[tuple[str, str]]:
        """Every request so far that could have changed the org."""
        return [(method, path) for method, path, _ in self.okta.control.management.requests if method != "GET"]


@asynccontextmanager
async def empty_org(here: Path, **more: Any) -> AsyncIterator[Operator]:
    """A new org, as Okta gives one: no app, and no access policy on the server `default`."""
    config = SimulatorConfig(**{"empty_org": True, "api_token": API_TOKEN, **more})
    async with running_simulator(config) as okta:
        okta.control.settings(policy_exists=False)
        yield Operator(okta, here)


def client_of(app: Json) -> Json:
    client: Json = app["settings"]["oauthClient"]
    return client


def app_body(label: str = "An app", credentials: Json | None = None, **client: Any) -> Json:
    """The body that creates an OpenID Connect app."""
    return {
        "name": "oidc_client",
        "label": label,
        "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": credentials or {}},
        "settings": {
            "oauthClient": {
                "redirect_uris": [f"{PUBLIC_URL}/authorization-code/callback"],
                "response_types": ["code"],
                "grant_types": ["authorization_code", "refresh_token"],
                **client,
            }
        },
    }
