"""oidc-provider of npm."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.providers.installing import install, run
from tests.providers.person import Person
from tests.providers.process import ProviderProcess
from tests.providers.provider import AudienceToken, Client, Provider, Wish, client_metadata

HERE: Final = Path(__file__).parent
MANIFEST: Final = (HERE / "package.json", HERE / "package-lock.json", HERE / "server.js")


def _install(folder: Path) -> None:
    for path in MANIFEST:
        shutil.copy(path, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


class OidcProvider(Provider):
    name = "oidc-provider"
    version = json.loads((HERE / "package.json").read_text())["dependencies"]["oidc-provider"]
    id_token_algorithms = ("PS256", "ES256", "EdDSA", "Ed25519")
    client_key_algorithms = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
    encryptions = (
        *(("RSA-OAEP-256", "A256GCM"), ("RSA-OAEP-256", "A128CBC-HS256")),
        *(("ECDH-ES", "A256GCM"), ("ECDH-ES+A256KW", "A128CBC-HS256")),
    )
    userinfo_algorithms = ("PS256", "EdDSA")
    dpop = True
    par = True
    audience_kind = "resource"
    settings: ClassVar[Mapping[str, str]] = {"prompt": "consent"}  # without it there is no refresh token
    survives_lost_answers = False  # it has no grace period: a second use of a refresh token ends its grant

    def issuer_of(self, wish: Wish) -> str:
        return self.proxy.origin

    async def start(self) -> None:
        folder = install("oidc-provider", MANIFEST, _install)
        command = ["node", "server.js", self.proxy.origin, str(self.port), str(self.control_port)]
        ready = f"http://127.0.0.1:{self.port}/.well-known/openid-configuration"
        self._process = ProviderProcess(command, cwd=folder, log=self.directory / "log", ready=ready)
        await self._process.start()
        await self.proxy.start()

    async def stop(self) -> None:
        await self.proxy.stop()
        await self._process.stop()

    async def add_client(self, client_id: str, secret: str, public_url: str, wish: Wish) -> None:
        metadata = client_metadata(client_id, secret, public_url, wish)
        metadata |= {"id_token_signed_response_alg": wish.id_token_algorithm, "rotates": wish.rotates}
        metadata |= {"dpop_bound_access_tokens": True} if wish.dpop else {}
        await self._order("/clients", metadata)

    async def set_lifetime(self, client: Client, seconds: int) -> None:
        await self._order("/lifetimes", {"client_id": client.client_id, "seconds": seconds})

    async def is_alive(self, client: Client, login: str, refresh_token: str) -> bool:
        return bool((await self._order("/tokens", {"token": refresh_token}))["active"])

    async def sign_out_at_provider(self, client: Client, login: str, browser: Browser) -> None:
        assert isinstance(browser, Person)
        await browser.fill_in(await browser.navigate(f"{self.proxy.origin}/session/end"), login)

    async def end_grant(self, client: Client, login: str, refresh_token: str) -> None:
        await self._order("/revocations", {"token": refresh_token})

    def audience_tokens(self, client: Client) -> Mapping[str, AudienceToken]:
        names = ("orders", "billing", "refused")
        resources = {f"/{name}": f"https://{name}.example.com/" for name in names}
        return {
            prefix: AudienceToken({"resource": resource}, None if prefix == "/refused" else resource)
            for prefix, resource in resources.items()
        }

    async def refuse(self, client: Client) -> None:
        resource = self.audience_tokens(client)["/refused"].token["resource"]
        await self._order("/withdrawals", {"client_id": client.client_id, "resource": resource})

    async def rotate_keys(self) -> None:
        await self._order("/keys", {})

    async def _order(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with plain_http() as http:
            answer = await http.post(f"http://127.0.0.1:{self.control_port}{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())
