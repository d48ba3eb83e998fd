"""docker-compose.yml, .env.example, the Dockerfile and nginx.conf agree with one another and with the settings."""

import asyncio
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import redis
import yaml

from bff import __version__
from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings, load_settings
from bff.server.uvicorn_0_54.server import DRAIN, KEEP_ALIVE
from bff.session.keyring import KeyRing, new_key
from bff.storage.open import open_store
from deploy.make_secrets import BFF, READERS, REDIS, RIGHTS, copy_for_proxy, main
from tests.harness.example_session import a_session, session_of
from tests.harness.places import ROOT
from tests.harness.redis_rights import ACL
from tests.harness.redis_servers import RedisServer, one_server, until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = {path: path.read_text("utf-8") for path in (ROOT / "Dockerfile", ROOT / "deploy" / "demo.Dockerfile")}
DOCKERFILE = DOCKERFILES[ROOT / "Dockerfile"]
NGINX = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text("utf-8")
REPLICAS = ("bff-1", "bff-2")
OURS = {"BFF_ISSUER", "BFF_CLIENT_ID", "BFF_PUBLIC_URL", "BFF_ROUTES"}  # what a deployment must say itself
OF_COMPOSE = {"SECRETS_DIR", "SPA_DIR", "PORT", "IMAGE_TAG", "VERSION", "REVISION"}

EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)


def interpolated(text: str, env: dict[str, str]) -> str:
    """As compose reads `${NAME:-default}`; a `$$` is a dollar. A default holds no `}` that is not its JSON's."""
    text = re.sub(r"\$\{(\w+):-((?:[^{}]|\{[^{}]*\})*)\}", lambda found: env.get(found[1]) or found[2], text)
    return text.replace("$$", "$")


def environment(env: dict[str, str]) -> dict[str, str]:
    """What the replicas are started with when `.env` holds `env`."""
    own = {name: interpolated(str(value), env) for name, value in SERVICES["bff-1"]["environment"].items()}
    return {**{name: value for name, value in env.items() if name.startswith("BFF_")}, **own}


def settings(env: dict[str, str], secrets: Path) -> Settings:
    own = {name: value.replace("/run/bff", str(secrets / "for" / "bff")) for name, value in environment(env).items()}
    image = dict(re.findall(r"^ +(BFF_\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    return load_settings({**image, **own})


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the operator, `own`, and those of the readers, in `for`."""
    monkeypatch.setattr("os.chown", lambda *_: None)  # whose they are can be seen by root only
    for reader in READERS:
        (tmp_path / "for" / reader).mkdir(parents=True)
    (tmp_path / "own").mkdir()
    main(tmp_path / "own", tmp_path / "for")
    yield tmp_path
    for reader in READERS:
        (tmp_path / "for" / reader).chmod(0o700)


def test_every_setting_that_is_named_exists() -> None:
    known = {f"BFF_{name.upper()}" for name in leaves(Settings)} | {f"BFF_{name.upper()}_FILE" for name in SECRETS}
    for text in (*DOCKERFILES.values(), (ROOT / "docker-compose.yml").read_text("utf-8"), "\n".join(EXAMPLE)):
        assert set(re.findall(r"\bBFF_[A-Z_]+", text)) <= known
    variables = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text("utf-8")))
    assert {name for name in variables if not name.startswith("BFF_")} == OF_COMPOSE
    assert {name for name in EXAMPLE if not name.startswith("BFF_")} <= OF_COMPOSE


@pytest.mark.parametrize("env", [{}, EXAMPLE], ids=["the demo", "the example .env"])
def test_the_replicas_would_start_with_it(env: dict[str, str], secrets: Path) -> None:
    read = settings(env, secrets)
    assert read.store.url.startswith("redis://")
    assert (read.server.listen, read.server.management_listen) == ("unix:/run/sockets/bff-1.sock", "0.0.0.0:9090")
    assert read.routes


def test_the_example_says_all_that_a_deployment_must_say_itself_and_passes_every_other_setting_on() -> None:
    assert EXAMPLE.keys() >= OURS
    assert all(EXAMPLE[name] in environment(EXAMPLE).values() for name in OURS)
    json.loads(EXAMPLE["BFF_ROUTES"])
    assert environment({"BFF_IDLE_TIMEOUT": "60"})["BFF_IDLE_TIMEOUT"] == "60"
    assert SERVICES["bff-1"]["env_file"] == [{"path": ".env", "required": False}]


def test_only_the_proxy_reaches_the_replicas_and_is_trusted(secrets: Path) -> None:
    """Through sockets in a volume, so no address is fixed and several projects run side by side."""
    assert settings({}, secrets).server.trusted_proxies == ("unix",)
    assert settings(EXAMPLE, secrets).server.trusted_proxies[0] == "unix"
    mounting = {name for name, service in SERVICES.items() if "sockets:" in str(service.get("volumes"))}
    assert mounting == {"proxy", "secrets", *REPLICAS}
    assert SERVICES["proxy"]["user"].split(":")[1] == str(BFF), "the group of the sockets"
    assert "networks" not in COMPOSE
    assert "ipv4_address" not in str(COMPOSE)
    sockets = re.findall(r"server (unix:\S+) max_fails", NGINX)
    assert sockets == [SERVICES[name]["environment"]["BFF_LISTEN"] for name in REPLICAS] * 4, (
        "and as backup, for both groups"
    )


def test_nothing_starts_before_the_settings_are_valid() -> None:
    check = SERVICES["check"]
    assert (check["command"], check["restart"], check["network_mode"]) == (["check"], "no", "none")
    first = {name: str(service.get("depends_on")) for name, service in SERVICES.items()}
    for name in REPLICAS:
        assert "check': {'condition': 'service_completed_successfully" in first[name]
        same = {"BFF_LISTEN": SERVICES[name]["environment"]["BFF_LISTEN"]}
        assert {**check["environment"], **same} == SERVICES[name]["environment"]
        assert check["env_file"] == SERVICES[name]["env_file"]


def test_a_build_replaces_no_image_of_another_version() -> None:
    for name, service in SERVICES.items():
        if "build" in service:
            assert service["image"].endswith(f":${{IMAGE_TAG:-{__version__}}}"), name
    assert SERVICES["bff-1"]["build"]["args"]["VERSION"] == f"${{VERSION:-{__version__}}}"
    assert "VOLUME" not in re.findall(r"(?m)^[A-Z]+", DOCKERFILE), "a volume that read_only would not cover"


def test_times_of_nginx_of_the_bff_and_of_the_engine_fit(secrets: Path) -> None:
    idle = seconds(re.findall(r"upstream bff \{.*?keepalive_timeout (\w+);", NGINX, re.DOTALL)[0])
    assert idle < KEEP_ALIVE, "the one that closes an idle connection first must be nginx"
    read = settings({}, secrets)
    assert idle < read.server.drain_delay, (
        "connections that nginx keeps would close under a request that cannot be asked again"
    )
    for name in REPLICAS:
        grace = seconds(SERVICES[name]["stop_grace_period"])
        assert grace > read.server.drain_delay + DRAIN + read.refresh.timeout, (
            "it would be killed while it ends in order"
        )


def test_requests_are_asked_again_at_the_other_replica_only_where_that_is_harmless() -> None:
    (conditions,) = re.findall(r"proxy_next_upstream ([\w ]+);", NGINX)
    assert conditions == "error timeout", "an error of the API is no failure of a replica"
    # Were both marked as failed, nginx would respond with 502, "no live upstreams".
    assert NGINX.count(" max_fails=0 backup;") == 2 * len(REPLICAS)


def test_the_bff_gives_up_on_an_api_before_nginx_gives_up_on_the_bff(secrets: Path) -> None:
    usual, streams = (seconds(found) for found in re.findall(r"proxy_read_timeout (\w+);", NGINX))
    for route in settings({}, secrets).routes:
        assert route.connect_timeout + route.timeout < usual < streams


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_and_its_resources_are_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("privileged") is None
    assert service["cap_drop"] == ["ALL"]
    assert name == "secrets" or "cap_add" not in service
    assert in_megabytes(service["mem_limit"]) <= 1024
    assert service["memswap_limit"] == service["mem_limit"], "what is in memory is not written to a swap file"
    assert 0 < service["pids_limit"] <= 128
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    # A tmpfs is memory of the container; one without a size takes half of the machine's.
    mounted = [in_megabytes(re.findall(r"[:,]size=(\d+m)\b", mount)[0]) for mount in service.get("tmpfs", ())]
    assert sum(mounted) <= in_megabytes(service["mem_limit"]) / 4


def in_megabytes(text: str) -> int:
    return int(text[:-1]) * {"m": 1, "g": 1024}[text[-1]]


def test_each_service_mounts_its_own_secrets_and_one_writes_them() -> None:
    mounted = {
        name: [
            volume for volume in service.get("volumes", ()) if volume.startswith(("for-", "${SECRETS_DIR", "secrets"))
        ]
        for name, service in SERVICES.items()
    }
    writer = mounted.pop("secrets")
    assert writer == [
        "${SECRETS_DIR:-secrets}:/run/secrets",
        *(f"for-{name}:/run/for/{name}" for name in (*READERS, "proxy")),
    ]
    assert {name: volumes for name, volumes in mounted.items() if volumes} == {
        "bff-1": ["for-bff:/run/bff:ro"],
        "bff-2": ["for-bff:/run/bff:ro"],
        "check": ["for-bff:/run/bff:ro"],
        "proxy": ["for-proxy:/run/proxy:ro"],
        "redis": ["for-redis:/run/redis:ro"],
        "okta": ["for-okta:/run/okta:ro"],
    }
    assert {f"for-{name}" for name in READERS} <= COMPOSE["volumes"].keys()
    assert READERS["redis"] == (REDIS, ("redis.conf",))
    assert READERS["okta"][1] == ("client_secret",)


def test_no_password_is_on_a_command_line() -> None:
    for service in SERVICES.values():
        words = json.dumps([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
        assert not re.search(r"redis-cli\b[^|]* (-a|--pass|-u)\b|requirepass|sed -n", words)


def test_without_a_profile_nothing_of_the_demo_runs() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]} == {"okta", "api"}
    assert all(service.get("profiles") in (None, ["demo"]) for service in SERVICES.values())
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "okta"}
    assert SERVICES["okta"]["ports"][0].startswith("127.0.0.1:"), "a provider whose passwords are public"


def test_no_secret_stands_in_a_file(secrets: Path) -> None:
    files = sorted(path for path in secrets.rglob("*") if path.is_file())
    made = [path.read_text() for path in files]
    for reader in READERS:
        (secrets / "for" / reader).chmod(0o700)
    main(secrets / "own", secrets / "for")
    assert [path.read_text() for path in files] == made, "what is there is kept"
    assert {path.stat().st_mode & 0o777 for path in files} == {0o400}
    assert sorted(path for path in secrets.rglob("*") if path.is_file()) == files, "nothing half written is left"
    for reader, (_, names) in READERS.items():
        assert {path.name for path in (secrets / "for" / reader).iterdir()} == {*names}
        for name in names:
            assert (secrets / "for" / reader / name).read_text() == (secrets / "own" / name).read_text()
    for name in SECRETS:
        assert f"BFF_{name.upper()}" not in {*SERVICES["bff-1"]["environment"], *EXAMPLE}
    named = {value for name, value in SERVICES["bff-1"]["environment"].items() if name.endswith("_FILE")}
    assert {Path(file).name for file in named} == {*READERS["bff"][1]}


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ({"redis.conf": "requirepass x\n", "store_url": "redis://:x@redis:6379/0"}, set()),  # an older version of ours
        ({"store_url": "redis://bff:x@redis:6379/0"}, set()),
        ({"store_url": "rediss://bff:x@redis.example.com:6379/0"}, {"store_url"}),
        ({"client_secret": "own", "session_keys": "own"}, {"client_secret", "session_keys"}),
    ],
)
def test_what_belongs_together_is_made_together_and_the_operators_own_is_kept(
    secrets: Path, before: dict[str, str], kept: set[str]
) -> None:
    for path in (secrets / "own").iterdir():
        path.unlink()
    for name, text in before.items():
        (secrets / "own" / name).write_text(text)
    for reader in READERS:
        (secrets / "for" / reader).chmod(0o700)
    main(secrets / "own", secrets / "for")
    for name, text in before.items():
        assert ((secrets / "own" / name).read_text() == text) is (name in kept), name


def test_redis_knows_the_bff_with_its_rights_and_a_probe_that_may_ping(secrets: Path, tmp_path: Path) -> None:
    """The configuration as it is made, read by a real Redis; only its folder and port are others."""
    assert f"~bff:* {ACL}" == RIGHTS
    made = (secrets / "for" / "redis" / "redis.conf").read_text()
    url = (secrets / "for" / "bff" / "store_url").read_text()
    password = re.findall(r"://bff:([^@]+)@redis:6379", url)[0]
    assert password not in made, "Redis needs its hash only"
    config = tmp_path / "redis.conf"
    config.write_text(made.replace("dir /data", f"dir {tmp_path}"))
    (test,) = [line for line in SERVICES["redis"]["healthcheck"]["test"] if "redis-cli" in line]
    with one_server(tmp_path / "redis", config=config, credentials=("bff", password)) as server:
        probe = subprocess.run(
            ["sh", "-c", test.replace("redis-cli", f"redis-cli -p {server.port}")], capture_output=True, check=False
        )
        assert probe.returncode == 0, probe.stderr
        for name, secret in (("probe", "probe"), ("bff", password)):
            with redis.Redis(port=server.port, username=name, password=secret) as client:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.config_set("maxmemory-policy", "allkeys-lru")
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.get("another-key")
        with redis.Redis(port=server.port) as client, pytest.raises(redis.exceptions.AuthenticationError):
            client.ping()
        asyncio.run(keeps_sessions(url.replace("redis:6379", f"127.0.0.1:{server.port}"), server))


async def keeps_sessions(url: str, server: RedisServer) -> None:
    """Also when it is killed: it reads the writes of a script as a transaction in its append-only file, and drops it if
    the user `default` has no rights, switched off or not."""
    ring = KeyRing.from_keys([new_key()])
    store = open_store(url, ring)
    session = a_session(await store.now())
    await store.create(session)
    assert await store.eviction_policy() == "noeviction"
    await store.close()
    # Under `appendfsync everysec` Redis holds a write back while an earlier fsync takes long, and replies all the same.
    await asyncio.to_thread(until, lambda: server.ask("INFO", "persistence")["aof_buffer_length"] == 0)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    store = open_store(url, ring)
    assert session_of(await store.get(session.key)) == session
    assert list(await store.find("sub", session.user.sub)) == [session]
    await store.close()


def test_images_are_pinned_by_tag_and_what_is_copied_exists() -> None:
    for service in SERVICES.values():
        image = interpolated(service["image"], {})
        assert "build" in service or re.fullmatch(r"[\w-]+:\d+\.\d+\.\d+(-alpine)?(@sha256:[0-9a-f]{64})?", image)
        assert not image.endswith(":latest")
    for path, written in DOCKERFILES.items():
        text = written
        (base,) = re.findall(r"^ARG PYTHON=(.+)$", text, re.MULTILINE)
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim(@sha256:[0-9a-f]{64})?", base)
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}"}
        installs = re.findall(r"/pip install (.*)", text)
        assert "--require-hashes --only-binary :all: -r requirements.lock" in "\n".join(installs)
        for install in installs:
            assert re.search(r"--require-hashes --only-binary :all: -r |--no-index --no-deps /wheels/", install)
        for name, default in re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE):
            text = text.replace(f"${{{name}}}", default)
        copied = [
            source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for source in line.split()
        ]
        named = re.findall(r"\brequirements[\w-]*\.lock\b", text)
        for source in {*copied, *named}:
            assert (ROOT / source).exists(), path.name
            kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
            assert any(line == f"!{source}" or line.startswith(f"!{source}/") for line in kept), source
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists()


def test_every_document_of_the_wheel_is_sent_to_the_engine() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    assert included
    assert [path for path in included if not any(PurePosixPath(path).match(pattern) for pattern in kept)] == []


def test_the_image_has_the_wheel_and_neither_the_source_tree_nor_what_builds_it() -> None:
    wheel, install, last = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert "COPY bff ./bff\n" in wheel
    assert "pip wheel --no-index --no-deps --no-build-isolation " in wheel, "nothing is downloaded past the lock"
    assert re.findall(r"^COPY .+", install, re.MULTILINE) == [
        "COPY ${LOCK} ./requirements.lock",
        "COPY --from=wheel /wheels /wheels",
    ]
    assert re.findall(r"^COPY .+", last, re.MULTILINE) == ["COPY --from=install /opt/bff /opt/bff"]


def test_the_image_runs_as_a_user_of_its_own_and_asks_itself_for_its_health() -> None:
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert f"USER {BFF}:{BFF}" in last
    assert f"--uid {BFF} " in last
    assert 'ENTRYPOINT ["bff"]' in last, "the exec form: SIGTERM reaches the process itself"
    assert re.search(r"HEALTHCHECK .* CMD \[\"bff\", \"health\"\]", last)


def test_what_nginx_reads_is_copied_readable_whatever_its_permissions_are(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "spa" / "assets").mkdir(parents=True)
    target.mkdir(mode=0o700)
    files = {"nginx.conf": "1", "spa/index.html": "2", "spa/assets/app.js": "3"}
    for name, text in files.items():
        (source / name).write_text(text)
        (source / name).chmod(0o600)
    (source / "spa" / "assets").chmod(0o700)
    copy_for_proxy(source, target)
    for name, text in files.items():
        assert ((target / name).read_text(), (target / name).stat().st_mode & 0o777) == (text, 0o644)
    assert {path.stat().st_mode & 0o777 for path in (target, *target.rglob("*")) if path.is_dir()} == {0o755}
    (source / "spa" / "assets" / "app.js").unlink()
    (source / "spa" / "index.html").write_text("new")
    copy_for_proxy(source, target)
    assert {path.name for path in target.rglob("*") if path.is_file()} == {"nginx.conf", "index.html"}
    assert (target / "spa" / "index.html").read_text() == "new"


@pytest.mark.parametrize("missing", ["nginx.conf", "spa"])
def test_what_nginx_needs_and_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "nginx.conf").touch()
    (tmp_path / "spa").mkdir()
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="nginx.conf" if missing == "nginx.conf" else "SPA_DIR"):
        copy_for_proxy(tmp_path, tmp_path)
