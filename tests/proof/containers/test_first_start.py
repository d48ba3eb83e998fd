"""The first `docker compose up`: a wrong setting, a clone under umask 077, another project beside it, any user."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from tests.proof.containers.compose import IMAGE, ROOT, Compose, need_engine

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("containers")]

KEY = encode_base64url(new_key())
BEHIND_TLS = {"Host": "app.example.com"}


def closed_to_others(folder: Path) -> None:
    """As `git clone` under umask 077 leaves it, and of another user than root."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
            path.touch()


def write_env(compose: Compose, *more: str) -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").replace("example.okta.com", "okta.invalid").splitlines()
    port = "PORT=127.0.0.1:8081"
    text = "\n".join([*(port if line.startswith("PORT=") else line for line in lines), *more])
    (compose.directory / ".env").write_text(text + "\n")


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    need_engine()
    directory = tmp_path_factory.mktemp("first")
    compose = Compose.laid_out(directory, "bff-test-first")
    for name in ("secrets", "spa"):
        (directory / name).mkdir()
    (directory / "secrets" / "client_secret").write_text("the-operator-s-own-client-secret-0123456789\n")
    (directory / "spa" / "index.html").write_text("<title>mine</title>")
    write_env(compose, "BFF_IDLE_TIMEOUT=never")
    closed_to_others(directory)
    try:
        yield compose
    finally:
        compose.down()


def get(path: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.get(f"http://127.0.0.1:8081{path}", headers=BEHIND_TLS)


def test_a_wrong_setting_is_named_before_anything_starts_and_the_second_up_succeeds(compose: Compose) -> None:
    checked = compose.attempt("run", "--rm", "--build", "check")
    assert checked.returncode == 1
    assert "BFF_IDLE_TIMEOUT" in checked.stdout + checked.stderr
    refused = compose.attempt("up", "--build", "--detach", "--wait")
    assert refused.returncode != 0
    assert "check" in refused.stderr
    assert "BFF_IDLE_TIMEOUT" in compose("logs", "check")
    assert "bff-1" not in compose("ps", "--services", "--status", "running").split()
    write_env(compose)
    compose.up()
    assert get("/auth/session").json()["authenticated"] is False
    assert get("/some/page").text == "<title>mine</title>"


def test_a_secret_that_is_a_placeholder_is_named_and_its_file_can_be_replaced(compose: Compose) -> None:
    secret = compose.directory / "secrets" / "client_secret"
    secret.chmod(0o600)
    secret.write_text("changeme")
    compose("down", "--timeout", "5")
    refused = compose.attempt("up", "--detach", "--wait")
    assert refused.returncode != 0
    assert "BFF_CLIENT_SECRET" in compose("logs", "--no-color", "check")
    secret.chmod(0o600)
    secret.write_text("the-operator-s-own-client-secret-0123456789\n")
    compose.up()
    assert get("/auth/session").status_code == 200


def test_another_project_runs_beside_it(compose: Compose, tmp_path: Path) -> None:
    other = Compose.laid_out(tmp_path, "bff-test-second", "demo")
    closed_to_others(tmp_path)
    try:
        other.up()
        with httpx.Client(trust_env=False, timeout=30) as client:
            assert client.get("http://127.0.0.1:8080/").status_code == 200
            assert client.get("http://127.0.0.1:8080/auth/session").status_code == 200
            ready = client.get("http://127.0.0.1:8080/auth/login", follow_redirects=False)
            assert ready.headers["location"].startswith("http://okta.localhost:9000/")
    finally:
        other.down()
    assert get("/auth/session").status_code == 200


@pytest.mark.parametrize("user", ["1000650000:0", "12345:12345"], ids=["OpenShift", "another"])
def test_the_image_runs_as_any_user(compose: Compose, user: str) -> None:
    environ = ["BFF_ISSUER=https://okta.invalid/oauth2/default", "BFF_CLIENT_ID=0oa1", "BFF_CLIENT_SECRET=" + "s" * 40]
    environ += ["BFF_PUBLIC_URL=https://app.example.com", "BFF_STORE=sqlite:////tmp/bff.db", "BFF_SESSION_KEYS=" + KEY]
    options = [word for pair in environ for word in ("--env", pair)]
    read_only = ["--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL"]
    checked = compose.docker("run", "--rm", "--user", user, *read_only, *options, IMAGE, "check")
    assert checked.returncode == 0, checked.stderr
    off = ["--env", "BFF_MANAGEMENT_LISTEN=off"]
    name = f"bff-test-{user.replace(':', '-')}"
    started = compose.docker("run", "--detach", "--name", name, "--user", user, *read_only, *options, *off, IMAGE)
    assert started.returncode == 0, started.stderr
    try:
        ends_at = time.monotonic() + 120
        while (health := compose.docker("inspect", "-f", "{{.State.Health.Status}}", name).stdout.strip()) != "healthy":
            assert health == "starting", compose.docker("logs", name).stderr
            assert time.monotonic() < ends_at
    finally:
        compose.docker("rm", "--force", "--volumes", name)


def test_openshift_may_keep_its_sessions_in_sqlite(compose: Compose) -> None:
    script = "import pathlib; pathlib.Path('var').mkdir(); print(pathlib.Path.cwd())"
    done = compose.docker("run", "--rm", "--user", "1000650000:0", "--entrypoint", "python", IMAGE, "-c", script)
    assert (done.returncode, done.stdout.strip()) == (0, "/var/lib/bff"), done.stderr


def test_the_image_says_what_it_is(compose: Compose) -> None:
    labels = compose.docker("inspect", "-f", "{{json .Config.Labels}} {{json .Config.Volumes}}", IMAGE).stdout
    assert '"org.opencontainers.image.version":"' + IMAGE.partition(":")[2] in labels
    assert labels.strip().endswith(" null"), "no volume that nothing documents"
