"""Every example as it is shipped: `bff check` takes the settings, and nginx and Caddy their configurations."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.bff_command import bff
from tests.harness.certificates import Authority, Issued
from tests.harness.settings import CLIENT_SECRET, KEY
from tests.proof.examples.proxies import EXAMPLES, program

ROOT = EXAMPLES.parent
# docs/providers.md has parts of a configuration, which `tests/proof/documentation/test_providers.py` completes.
DOCUMENTS = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "providers.md"})]
ENV_FILES = [*sorted(EXAMPLES.rglob("*.env")), ROOT / ".env.example"]
NGINX = [*sorted(EXAMPLES.rglob("*.conf")), ROOT / "deploy" / "nginx" / "nginx.conf"]
CADDY = sorted(EXAMPLES.rglob("*Caddyfile"))


def name_of(path: object) -> str:
    return path.relative_to(ROOT).as_posix() if isinstance(path, Path) else ""


def blocks(language: str, begin: str) -> list[object]:
    """Each code block of the documents with a line that begins so."""
    found = re.compile(rf"(?ms)^```{language}\n(.*?)^```")
    return [
        pytest.param(block, id=f"{name_of(document)}-{number}")
        for document in DOCUMENTS
        for number, block in enumerate(found.findall(document.read_text("utf-8")))
        if any(line.startswith(begin) for line in block.splitlines())
    ]


def variables(text: str) -> dict[str, str]:
    """As `docker run --env-file` and compose read a file, and as a shell reads a line of a document."""
    lines = (line for line in text.splitlines() if re.match(r"[A-Z_]+=", line))
    pairs = (re.sub(r"\s+# .*", "", line).partition("=") for line in lines)
    return {name: value.strip().strip("'") for name, _, value in pairs}


def secrets(folder: Path) -> None:
    (folder / "client").write_text(CLIENT_SECRET)
    (folder / "keys").write_text(KEY)


def checked(environ: dict[str, str], folder: Path) -> str:
    """What `bff check` says. The paths of secret files, and of the SPA, lead into `folder`."""
    secrets(folder)
    (folder / "index.html").write_text("<!doctype html>")
    places = {
        "BFF_CLIENT_SECRET_FILE": folder / "client",
        "BFF_SESSION_KEYS_FILE": folder / "keys",
        "BFF_SPA_DIR": folder,
    }
    here = {name: str(places[name]) for name in places.keys() & environ.keys()}
    done = bff("check", environ={**environ, **here}, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", ENV_FILES, ids=name_of)
def test_the_settings_of_an_example_are_right(path: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in variables(path.read_text("utf-8")).items() if name.startswith("BFF_")}
    if path.name == ".env.example":  # docker-compose.yml says where the secrets are
        environ |= {"BFF_CLIENT_SECRET_FILE": "", "BFF_SESSION_KEYS_FILE": ""}
    said = checked(environ, tmp_path)
    assert "Note: trusted_proxies" not in said


@pytest.mark.parametrize("block", blocks("sh", "BFF_ISSUER="))
def test_the_settings_of_a_document_are_right(block: str, tmp_path: Path) -> None:
    environ = {name: value.replace("0oa...", "0oa1example") for name, value in variables(block).items()}
    checked(environ, tmp_path)


@pytest.mark.parametrize("block", blocks("toml", "issuer ="))
def test_the_toml_of_a_document_is_right(block: str, tmp_path: Path) -> None:
    secrets(tmp_path)
    block = block.replace("/run/secrets/client", f"{tmp_path}/client").replace("/run/secrets/session-", f"{tmp_path}/")
    (tmp_path / "bff.toml").write_text(block)
    done = bff("check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_other_file_can_be_read() -> None:
    """Traefik's files and Envoy's are compared with their reference in `test_configuration`."""
    for path in (*EXAMPLES.rglob("*.yaml"), *(ROOT / "deploy").rglob("*.yml"), ROOT / "docker-compose.yml"):
        assert all(yaml.safe_load_all(path.read_text("utf-8"))), path
    for path in (ROOT / "deploy").rglob("*.json"):
        assert json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Authority(tmp_path_factory.mktemp("tls"), "authority").issue("app.example.com")


def with_certificate(text: str, certificate: Issued) -> str:
    """A configuration with this certificate in the place of the operator's."""
    text = re.sub(r"/etc/(nginx|caddy)/tls/fullchain\.pem", str(certificate.cert), text)
    return re.sub(r"/etc/(nginx|caddy)/tls/key\.pem", str(certificate.key), text)


@pytest.mark.parametrize("path", NGINX, ids=name_of)
def test_nginx_takes_it(path: Path, tmp_path: Path, certificate: Issued) -> None:
    text = with_certificate(path.read_text("utf-8").replace(" /tmp/", f" {tmp_path}/"), certificate)
    for name in set(re.findall(r"(?m)^\s*(?:upstream \S+ \{ )?server ([\w-]+):\d+", text)):
        text = text.replace(f"server {name}:", "server 127.0.0.1:")
    text = re.sub(r"\blisten (80|443)\b", r"listen 127.0.0.1:3\1", text)  # for whoever may not have these
    config = tmp_path / "nginx.conf"
    config.write_text(text if "\npid " in text else f"pid {tmp_path}/nginx.pid;\n{text}")
    done = subprocess.run(
        [program("nginx"), "-t", "-q", "-e", "stderr", "-p", tmp_path, "-c", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", CADDY, ids=name_of)
def test_caddy_takes_it(path: Path, tmp_path: Path, certificate: Issued) -> None:
    config = tmp_path / "Caddyfile"
    config.write_text(with_certificate(path.read_text("utf-8"), certificate))
    done = subprocess.run(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
