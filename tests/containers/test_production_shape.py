"""`docker compose up` with a `.env`: no demo, the secrets in a directory of the operator's, Okta not reachable yet."""

from collections.abc import Iterator

import httpx
import pytest

from tests.containers.compose import ROOT, Compose, need_engine

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("containers")]

BEHIND_TLS = {"Host": "app.example.com"}
FETCH = {"Sec-Fetch-Site": "same-origin", "X-CSRF": "1"}


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    need_engine()
    directory = tmp_path_factory.mktemp("production")
    compose = Compose.laid_out(directory, "bff-test-production")
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    # A host that no name server knows, in the place of an Okta org that exists.
    env = "\n".join(lines).replace("example.okta.com", "okta.invalid")
    (directory / ".env").write_text(env + "\nBFF_IDLE_LIMIT=1234\n")
    (directory / "secrets").mkdir()
    (directory / "secrets" / "client_secret").write_text("the-operator-s-own-client-secret-0123456789\n")
    (directory / "spa").mkdir(mode=0o755)
    (directory / "spa" / "index.html").write_text("<title>mine</title>")
    try:
        compose.up()
        yield compose
    finally:
        compose.down()


def get(path: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.get(f"http://127.0.0.1:8080{path}", headers={**BEHIND_TLS, **headers})


def test_it_starts_while_okta_is_away_and_runs_nothing_of_the_demo(compose: Compose) -> None:
    assert set(compose("ps", "--services").split()) == {"proxy", "bff-1", "bff-2", "redis"}
    assert get("/some/page").text == "<title>mine</title>"
    assert get("/auth/session").json()["authenticated"] is False
    assert get("/auth/login").status_code == 503
    assert get("/api/x", **FETCH).status_code == 401


def test_settings_of_the_env_file_reach_the_replicas(compose: Compose) -> None:
    read = "import os; from bff.settings import load_settings; print(load_settings(os.environ).idle_limit)"
    assert compose.inside("bff-1", "python", "-c", read).stdout.strip() == "1234"


def test_the_operator_s_secret_is_kept_and_readable_by_the_bff_only(compose: Compose) -> None:
    own = compose.directory / "secrets" / "client_secret"
    read = compose.inside("bff-1", "cat", "/run/bff/client_secret")
    assert read.stdout == "the-operator-s-own-client-secret-0123456789\n"
    assert own.stat().st_mode & 0o777 == 0o400


def test_redis_asks_for_its_password_and_is_not_published(compose: Compose) -> None:
    refused = compose.inside("redis", "redis-cli", "ping")
    assert "NOAUTH" in refused.stdout + refused.stderr
    assert "6379->" not in compose("ps")


def test_what_was_missing_is_made_beside_it(compose: Compose) -> None:
    assert {path.name for path in (compose.directory / "secrets").iterdir()} == {
        "client_secret",
        "session_keys",
        "redis.conf",
        "store_url",
    }
