"""`docker compose up` with a `.env`: no demo, the secrets in a directory of the operator's, Okta not reachable yet."""

from collections.abc import Iterator

import httpx
import pytest

from tests.proof.containers.compose import ROOT, Compose, need_engine

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
    (directory / ".env").write_text(env + "\nBFF_IDLE_TIMEOUT=1234\n")
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
    imports = "import os; from bff.config.settings import load_settings"
    read = f"{imports}; print(load_settings(os.environ).session.idle_timeout)"
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


def test_every_container_has_the_limits_that_the_file_gives_it(compose: Compose) -> None:
    for service in ("proxy", "bff-1", "bff-2", "redis", "secrets", "check"):
        host = compose.inspect(service)["HostConfig"]
        assert isinstance(host, dict)
        assert 0 < host["Memory"] == host["MemorySwap"] <= 1024**3, service
        assert 0 < host["PidsLimit"] <= 128, service
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), service


def test_a_container_is_stopped_at_its_limits(compose: Compose) -> None:
    hungry = compose.inside("bff-1", "python", "-c", "x = bytearray(900 * 1024 * 1024)")
    assert hungry.returncode == 137, "killed: it is over the limit of its container"
    threads = "import threading as t; [t.Thread(target=t.Event().wait, daemon=True).start() for _ in range(1000)]"
    assert "can't start new thread" in compose.inside("bff-1", "python", "-c", threads).stderr
    full = compose.inside("bff-1", "sh", "-c", "head -c 30000000 /dev/zero > /tmp/full; rm /tmp/full")
    assert "No space left" in full.stderr
    assert get("/auth/session").status_code == 200


def test_a_service_sees_no_secret_but_its_own(compose: Compose) -> None:
    assert compose.inside("bff-1", "ls", "/run/bff").stdout.split() == ["client_secret", "session_keys", "store_url"]
    assert compose.inside("redis", "ls", "/run/redis").stdout.split() == ["redis.conf"]
    assert compose.inside("redis", "ls", "/run/bff").returncode != 0
    assert compose.inside("proxy", "sh", "-c", "ls /run/bff /run/redis /run/secrets").returncode != 0


def test_only_the_api_takes_large_uploads(compose: Compose) -> None:
    with httpx.Client(trust_env=False, timeout=30, headers=BEHIND_TLS) as client:
        for path in ("/auth/logout", "/auth/backchannel-logout", "/authorization-code/callback", "/index.html"):
            body = b"x" * 40_000
            assert client.post(f"http://127.0.0.1:8080{path}", content=body).status_code in (405, 413), path
            chunked = client.post(f"http://127.0.0.1:8080{path}", content=iter([body] * 10))
            assert chunked.status_code in (405, 413), path


def test_what_was_missing_is_made_beside_it(compose: Compose) -> None:
    assert {path.name for path in (compose.directory / "secrets").iterdir()} == {
        "client_secret",
        "session_keys",
        "redis.conf",
        "store_url",
    }
