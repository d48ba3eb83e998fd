"""Libraries that are not ours accept what the BFF signs, and refuse what it did not sign for them.

Those of Python run with the other tests; `make test-assertions` installs and runs all.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bff.config.identity_assertion import IdentityToken
from bff.flows.identity_assertions import IdentityAssertions
from bff.oidc.jws import sign
from bff.oidc.private_keys import new_private_jwk
from bff.oidc.published_keys import key_set_document
from bff.oidc.signing_keys import SigningKey, parse_signing_keys
from bff.session.identity_assertion import TYP, assertion_claims
from bff.session.session import User
from tests.harness.places import ROOT
from tests.harness.raw_upstream import ok, raw_upstream
from tests.harness.refresh_records import fresh
from tests.harness.waiting import PATIENCE
from tests.providers.installing import install, run

EXAMPLES = ROOT / "examples" / "identity-assertion"
AUDIENCE = "orders-api"
KEYS = {alg: new_private_jwk(alg) for alg in ("ES256", "EdDSA", "RS256")}
FORGER = new_private_jwk("ES256")


def npm(folder: Path) -> list[str]:
    for name in ("package.json", "package-lock.json", "verify.mjs"):
        shutil.copy(EXAMPLES / "javascript" / name, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    return []


def go(folder: Path) -> None:
    run("go", "build", "-o", str(folder / "verify"), ".", cwd=EXAMPLES / "go", environ={"GOFLAGS": "-mod=readonly"})


def maven(folder: Path) -> None:
    shutil.copy(EXAMPLES / "java" / "pom.xml", folder)
    run("mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}", cwd=folder)
    run("javac", "-cp", f"{folder}/lib/*", "-d", str(folder), str(EXAMPLES / "java" / "Verify.java"), cwd=folder)


@dataclass(frozen=True)
class Library:
    """`source` is its folder below the examples; `command` gets the folder that `installer` filled."""

    source: str
    command: Callable[[Path], list[str]]
    installer: Callable[[Path], object] | None = None
    algorithms: tuple[str, ...] = tuple(KEYS)

    def installed(self) -> list[str]:
        folder = EXAMPLES / self.source
        if self.installer is None:
            return self.command(folder)
        manifest = sorted(path for path in folder.iterdir() if path.is_file())
        return self.command(install(f"assertions-{self.source}", manifest, self.installer))


LIBRARIES = {
    "joserfc": Library("python", lambda folder: [sys.executable, str(folder / "verify_joserfc.py")]),
    "PyJWT": Library("python", lambda folder: [sys.executable, str(folder / "verify_pyjwt.py")]),
    "jose": Library("javascript", lambda folder: ["node", str(folder / "verify.mjs")], npm),
    "go-jose": Library("go", lambda folder: [str(folder / "verify")], go),
    "Nimbus": Library(
        "java",
        lambda folder: ["java", "-cp", f"{folder}{os.pathsep}{folder}/lib/*", "Verify"],
        maven,
        ("ES256", "RS256"),
    ),
}
EACH = [
    pytest.param(name, marks=() if library.installer is None else pytest.mark.assertions)
    for name, library in LIBRARIES.items()
]


def ring(alg: str) -> Any:
    """The key of this algorithm signs; the others are published too."""
    others = [member for other, member in KEYS.items() if other != alg]
    return parse_signing_keys(json.dumps({"keys": [KEYS[alg], *others]}))


def assertion(issuer: str, alg: str = "ES256", *, audience: str = AUDIENCE, now: float | None = None) -> str:
    session = replace(fresh(), user=User("00u1", claims={"name": "Zoë", "groups": ["a", "b"]}), ends_at=2**40)
    identity = IdentityToken(audience=audience, claims=("name", "groups"), lifetime=60)
    clock = time.time if now is None else lambda: now
    return IdentityAssertions(issuer, ring(alg), clock=clock).assertion(session, identity, "/orders")


def forged(issuer: str, key: Mapping[str, str] = KEYS["ES256"], *, typ: str = TYP) -> str:
    """Signed with this key, or with another `typ`, under the kid of ours."""
    given = {"audience": AUDIENCE, "claims": ("sub",), "lifetime": 60, "now": time.time(), "jti": "j"}
    signer: SigningKey = parse_signing_keys(json.dumps(dict(key))).signer
    kid = KEYS["ES256"]["kid"]
    return sign(assertion_claims(fresh(), issuer=issuer, **given), signer.key, alg=signer.alg, kid=kid, typ=typ)  # type: ignore[arg-type]


async def verify(name: str, token: Callable[[str], str], alg: str = "ES256") -> subprocess.CompletedProcess[str]:
    """Runs the example beside a server that has our public keys."""
    command = await asyncio.to_thread(LIBRARIES[name].installed)
    document = key_set_document(ring("ES256").published())
    async with raw_upstream(ok(document, "content-type: application/json", "connection: close")) as server:
        environ = {**os.environ, "BFF_URL": server.url, "AUDIENCE": AUDIENCE, "ALGORITHM": alg, "no_proxy": "*"}
        return await asyncio.to_thread(
            subprocess.run,
            command,
            input=token(server.url),
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("name", EACH)
async def test_an_assertion_is_accepted(name: str, alg: str) -> None:
    done = await verify(name, lambda issuer: assertion(issuer, alg), alg)
    if alg not in LIBRARIES[name].algorithms:
        assert done.returncode != 0
        return
    assert done.returncode == 0, done.stderr
    claims = json.loads(done.stdout)
    assert (claims["sub"], claims["name"], claims["groups"]) == ("00u1", "Zoë", ["a", "b"])


FORGED: dict[str, Callable[[str], str]] = {
    "for another audience": lambda issuer: assertion(issuer, audience="billing-api"),
    "of another issuer": lambda _: assertion("https://elsewhere.example"),
    "expired": lambda issuer: assertion(issuer, now=time.time() - 3600),
    "of another type": lambda issuer: forged(issuer, typ="at+jwt"),
    "signed with another key": lambda issuer: forged(issuer, FORGER),
    "signed with another algorithm": lambda issuer: assertion(issuer, "RS256"),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("name", EACH)
async def test_what_is_no_assertion_for_this_api_is_refused(name: str, what: str) -> None:
    done = await verify(name, FORGED[what])
    assert (done.returncode != 0, done.stdout) == (True, ""), what
