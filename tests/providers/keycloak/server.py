"""A Keycloak in development mode, with features, realms and users as data."""

import asyncio
import hashlib
import re
import shutil
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from tests.harness.plain_http import plain_http
from tests.harness.ports import free_port
from tests.providers.installing import InstallationFailed, alone, install, run
from tests.providers.process import START, ProviderProcess

HERE: Final = Path(__file__).parent
MANIFEST: Final = (HERE / "pom.xml", HERE / "keycloak.sha256")
ADMINISTRATOR: Final = ("administrator", "administrator-of-the-tests")
# It starts in half the time without the optimizing compiler.
JVM: Final = "-XX:TieredStopAtLevel=1"


def pinned_version() -> str:
    found = ElementTree.parse(MANIFEST[0]).getroot().find(".//{*}keycloak.version")
    assert found is not None
    assert found.text is not None
    return found.text


def _install(folder: Path) -> None:
    checksum, name = (HERE / "keycloak.sha256").read_text().split()
    run("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy", f"-DoutputDirectory={folder}", cwd=folder)
    archive = folder / name
    if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != checksum:
        raise InstallationFailed(f"{name} has the checksum {found}, and keycloak.sha256 says {checksum}")
    for earlier in folder.glob("home*"):
        shutil.rmtree(earlier)
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    (folder / name.removesuffix(".zip").replace("keycloak-quarkus-dist", "keycloak")).rename(folder / "home")
    archive.unlink()


class KeycloakServer:
    """`public_url` is the origin that browsers and the BFF use; by default it is the server's own. `options` are more
    arguments of `kc.sh`."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        public_url: str | None = None,
        features: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.public_url = public_url or self.url
        self._log, self._features = directory / "keycloak.log", tuple(sorted(features))
        self._options = tuple(options)
        self._process: ProviderProcess | None = None

    def issuer(self, realm: str) -> str:
        return f"{self.public_url}/realms/{realm}"

    async def start(self) -> None:
        """Installs it first if it is missing. Raises InstallationFailed."""
        folder = await asyncio.to_thread(install, "keycloak", MANIFEST, _install)
        home = await asyncio.to_thread(_home_for, folder, self._features)
        command = ["sh", str(home / "bin" / "kc.sh"), "start-dev", "--db=dev-mem", "--http-host=127.0.0.1"]
        command += [f"--http-port={self.port}", f"--hostname={self.public_url}", "--log-level=info"]
        command += [f"--features={','.join(self._features)}"] if self._features else []
        command += self._options
        name, password = ADMINISTRATOR
        environ = {"KC_BOOTSTRAP_ADMIN_USERNAME": name, "KC_BOOTSTRAP_ADMIN_PASSWORD": password}
        environ |= {"JAVA_OPTS_APPEND": JVM}
        ready = f"{self.url}/realms/master/.well-known/openid-configuration"
        process = ProviderProcess(command, cwd=home, log=self._log, ready=ready, environ=environ)
        with alone(f"keycloak-{home.name}"):  # two starts would build the same home
            await process.start()
        self._process = process

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the Admin REST API, below /admin/realms; the JSON of its answer, if it has any."""
        name, password = ADMINISTRATOR
        form = {"grant_type": "password", "client_id": "admin-cli", "username": name, "password": password}
        async with plain_http(base_url=self.url, timeout=START) as http:  # the first requests still compile classes
            token = (await http.post("/realms/master/protocol/openid-connect/token", data=form)).json()["access_token"]
            headers = {"authorization": f"Bearer {token}"}
            answer = await http.request(method, f"/admin/realms{path}", json=body, headers=headers)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def add_realm(
        self,
        realm: Mapping[str, Any],
        *,
        users: Sequence[Mapping[str, Any]] = (),
        clients: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Everything is a representation of the Admin REST API."""
        await self.admin("POST", "", realm)
        for user in users:  # one by one: users of an imported realm lack its default roles
            await self.admin("POST", f"/{realm['realm']}/users", user)
        for client in clients:
            await self.admin("POST", f"/{realm['realm']}/clients", client)

    async def user_id(self, realm: str, login: str) -> str:
        found = await self.admin("GET", f"/{realm}/users?exact=true&username={login}")
        return str(found[0]["id"])


@asynccontextmanager
async def running_keycloak(directory: Path, *, features: Sequence[str] = ()) -> AsyncIterator[KeycloakServer]:
    """A Keycloak of its own, without realms, for example with the features `ssf` or `token-exchange`."""
    server = KeycloakServer(directory, features=features)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _home_for(folder: Path, features: Sequence[str]) -> Path:
    """A copy of the installation for these features: the start builds it, and a second one finds it built."""
    if not features:
        return folder / "home"
    with alone("keycloak"):
        home = folder / ("home-" + re.sub(r"[^a-z0-9]+", "-", "-".join(features)))
        if not home.exists():
            new = home.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(folder / "home", new)
            new.rename(home)
    return home
