"""The chart renders for each of its values files, Kubernetes accepts the result, and the BFF accepts the settings."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bff.oidc.private_keys import new_private_jwk
from bff.server.uvicorn_0_54.server import DRAIN
from tests.deploy.tools import CHART, Rendered, problems, render
from tests.harness.bff_command import bff
from tests.harness.certificates import Authority
from tests.harness.places import ROOT
from tests.harness.settings import CLIENT_SECRET, KEY

pytestmark = pytest.mark.deploy

VALUES = ("minimal", "redis-tls", "forward-auth", "client-certificates", "everything")
EACH = pytest.mark.parametrize("values", VALUES)
EXAMPLES = ("gateway-api/external-auth.yaml", "envoy-gateway/security-policy.yaml")
SECRETS = {
    "client_secret": CLIENT_SECRET,
    "session_keys": KEY,
    "store": "rediss://bff:a-password@cache.internal.example.com:6379",
    "store_credentials": "a-token",
    "security_events_authorization": "Bearer 0123456789abcdef",
    "assertion_keys": json.dumps(new_private_jwk("ES256")),
}


def test_every_values_file_is_tested() -> None:
    assert {path.stem for path in (CHART / "ci").iterdir()} == set(VALUES)


@EACH
def test_kubernetes_accepts_what_is_rendered(values: str) -> None:
    rendered = render(values)
    assert rendered.manifests, rendered.refusal
    assert problems(rendered.manifests) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_forward_authentication_are_valid(example: str) -> None:
    manifests = list(yaml.safe_load_all((ROOT / "examples" / example).read_text("utf-8")))
    assert problems(manifests) == []
    rendered = render("forward-auth")
    service = rendered.one("Service", "bff-forward-auth")
    text = str(manifests)
    assert f"'name': 'bff-forward-auth', 'port': {service['spec']['ports'][0]['port']}" in text
    headers = {pair.split("=")[0].lower() for pair in rendered.environ["BFF_FORWARD_AUTH_HEADERS"].split()}
    copied = [list(found) for found in _lists_at(manifests, "headersToBackend", "allowedResponseHeaders")]
    assert [set(names) for names in copied] == [{"authorization", *headers}]


def _lists_at(value: Any, *names: str) -> list[list[str]]:
    if isinstance(value, dict):
        here = [item for name, item in value.items() if name in names]
        return here + [found for item in value.values() for found in _lists_at(item, *names)]
    return [found for item in value for found in _lists_at(item, *names)] if isinstance(value, list) else []


def test_the_schemas_refuse_an_unknown_field_of_every_kind() -> None:
    rendered = render("everything")
    examples = [
        manifest
        for example in EXAMPLES
        for manifest in yaml.safe_load_all((ROOT / "examples" / example).read_text("utf-8"))
    ]
    wrong = deepcopy([*(rendered.manifests or []), *examples])
    for manifest in wrong:
        manifest.get("spec", manifest)["misspelt"] = True
    found = {line.split(" ")[0] for line in problems(wrong)}
    assert found == {manifest["kind"] for manifest in wrong}


@EACH
def test_the_bff_accepts_the_settings(values: str, tmp_path: Path) -> None:
    environ, directory = render(values).environ, tmp_path / "secrets"
    directory.mkdir()
    for name, text in SECRETS.items():
        (directory / name).write_text(text)
    authority = Authority(tmp_path, "the company's authority")
    for name in ("orders", "invoices", "redis"):
        issued, folder = authority.issue(name), tmp_path / "certificates" / name
        folder.mkdir(parents=True)
        for source, target in ((issued.cert, "tls.crt"), (issued.key, "tls.key"), (issued.cert, "ca.crt")):
            (folder / target).write_bytes(source.read_bytes())
    mounted = {"/run/secrets/bff": str(directory), "/run/certificates": str(tmp_path / "certificates")}
    for inside, outside in mounted.items():
        environ = {name: value.replace(inside, outside) for name, value in environ.items()}
    done = bff("check", environ=environ, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = bff("check", environ={**environ, "BFF_DRAIN_DELAY": "-1"}, cwd=tmp_path)
    assert wrong.returncode == 1


@EACH
def test_every_file_that_a_setting_names_is_mounted(values: str) -> None:
    rendered = render(values)
    mounts = {mount["mountPath"]: mount for mount in rendered.container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in rendered.pod["volumes"]}
    secret = volumes[mounts["/run/secrets/bff"]["name"]]["secret"]
    named = {value for name, value in rendered.environ.items() if name.endswith("_FILE")}
    assert named == {f"/run/secrets/bff/{item['path']}" for item in secret["items"]}
    assert all("subPath" not in mount for mount in mounts.values()), "its file would never change"
    text = " ".join(rendered.environ.values())
    for folder in {word.split("/")[0] for word in text.split("/run/certificates/")[1:]}:
        assert f"/run/certificates/{folder}" in mounts


@EACH
def test_the_pod_has_no_rights(values: str) -> None:
    rendered = render(values)
    assert rendered.pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001}.items()
    assert rendered.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rendered.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert rendered.pod["automountServiceAccountToken"] is False
    assert rendered.pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & rendered.pod.keys()
    writable = [mount for mount in rendered.container["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]


@pytest.mark.parametrize("refresh_timeout", [8, 7.5, 40])
@pytest.mark.parametrize(("drain", "sleep"), [(0, 0), (15, 0), (60, 10)])
def test_a_stop_has_the_time_that_it_needs(drain: int, sleep: int, refresh_timeout: float) -> None:
    overrides = (f"drainDelay={drain}", f"preStopSleep={sleep}", f"settings.refresh_timeout={refresh_timeout}")
    rendered = render("minimal", *overrides)
    assert rendered.environ["BFF_DRAIN_DELAY"] == str(drain)
    hook = rendered.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert hook == sleep
    assert rendered.pod["terminationGracePeriodSeconds"] >= hook + drain + DRAIN + refresh_timeout + 2


@EACH
def test_a_roll_out_keeps_every_replica_until_the_next_one_is_ready(values: str) -> None:
    rendered = render(values)
    deployment, container = rendered.one("Deployment")["spec"], rendered.container
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    readiness = container["readinessProbe"]
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
    assert int(rendered.environ["BFF_DRAIN_DELAY"]) > noticed
    assert (container["livenessProbe"]["httpGet"]["path"], readiness["httpGet"]["path"]) == ("/livez", "/readyz")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listeners = {"LISTEN": "http", "MANAGEMENT_LISTEN": "management", "FORWARD_AUTH_LISTEN": "forward-auth"}
    for variable, name in listeners.items():
        listening = rendered.environ.get(f"BFF_{variable}")
        assert (listening and int(listening.rpartition(":")[2])) == ports.get(name)


def test_who_reaches_which_port() -> None:
    policy = render("everything").one("NetworkPolicy")["spec"]
    rules = {rule["ports"][0]["port"]: rule for rule in policy["ingress"]}
    assert set(rules) == {"http", "management", "forward-auth"}
    assert all(rules[port]["from"] for port in ("management", "forward-auth"))
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert render("minimal").one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]
    for name in ("Ingress", "HTTPRoute"):
        assert "management" not in str(render("everything").one(name)["spec"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('settings.isuer="x"', "isuer"),
        ('settings.client_secret="hunter2"', "client_secret"),
        ('settings.store="redis://:hunter2@redis"', "store"),
        ('settings.store="sqlite:///var/bff.db"', "is SQLite"),
        ('settings.store=""', "settings.store is missing"),
        ("settings.drain_delay=3", "drain_delay"),
        ('secret={"keys":["client_secret","typo"],"existingName":"bff"}', "/secret/keys/1"),
        ('secret.existingName=""', "secret.existingName is missing"),
        ('secret.values={"client_secret":"x"}', "are both set"),
        ("drainDelay=301", "drainDelay"),
        ("replicas=0", "replicas"),
        ("replica=2", "replica"),
        ("forwardAuth.enabled=true", "networkPolicy.forwardAuth is empty"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs is empty"),
    ],
)
def test_wrong_values_are_refused(override: str, said: str) -> None:
    rendered: Rendered = render("minimal", override)
    assert rendered.manifests is None
    assert said in rendered.refusal


def test_one_replica_needs_no_disruption_budget_and_an_autoscaler_sets_the_number() -> None:
    kinds = {manifest["kind"] for manifest in render("minimal", "replicas=1").manifests or []}
    assert "PodDisruptionBudget" not in kinds
    assert "replicas" not in render("everything").one("Deployment")["spec"]
    assert render("minimal").one("Deployment")["spec"]["replicas"] == 2
