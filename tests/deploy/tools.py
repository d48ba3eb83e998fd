"""Helm, and the schemas of what the chart and the examples contain: from packages, once for each version."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.harness.places import ROOT
from tests.providers.installing import PATIENCE, install, run

CHART: Final = ROOT / "deploy" / "helm" / "okta-bff"
SCHEMAS: Final = Path(__file__).parent / "kubernetes"
HELM: Final = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBE_VERSION: Final = "1.37.0"
DEFINITIONS: Final = {  # where Go modules have CustomResourceDefinitions
    "sigs.k8s.io/gateway-api@v1.6.3": "config/crd/experimental",
    "github.com/prometheus-operator/prometheus-operator@v0.94.0": "example/prometheus-operator-crd",
    "github.com/envoyproxy/gateway@v1.9.0": "charts/gateway-helm/charts/crds/crds/generated",
}


@cache
def helm() -> Path:
    """The program. Its first build takes minutes."""

    def build(folder: Path) -> None:
        run("go", "install", HELM, cwd=folder, environ={"GOBIN": str(folder), "GOFLAGS": "-mod=mod"})

    return install("helm", [Path(__file__)], build) / "helm"


@dataclass(frozen=True, slots=True)
class Rendered:
    """`manifests` is None if Helm refused the values; then `refusal` says why."""

    manifests: list[dict[str, Any]] | None
    refusal: str = ""

    def one(self, kind: str, name: str = "bff") -> dict[str, Any]:
        found = [
            manifest
            for manifest in self.manifests or []
            if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name)
        ]
        assert len(found) == 1, self.refusal or f"{len(found)} of {kind} {name}"
        return found[0]

    @property
    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = self.one("Deployment")["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.pod["containers"]
        return dict(container)

    @property
    def environ(self) -> dict[str, str]:
        return {variable["name"]: variable["value"] for variable in self.container["env"]}


def render(values: str, *overrides: str) -> Rendered:
    """The release `bff` with a values file of the chart, and values as `--set` takes them."""
    command = [str(helm()), "template", "bff", str(CHART), "--kube-version", KUBE_VERSION]
    command += ["--values", str(CHART / "ci" / f"{values}.yaml")]
    command += [argument for override in overrides for argument in ("--set-json", override)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        return Rendered(None, done.stderr)
    return Rendered([manifest for manifest in yaml.safe_load_all(done.stdout) if manifest])


@cache
def _installed_schemas() -> tuple[Path, tuple[Path, ...]]:
    def fetch(folder: Path) -> None:
        run(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
        pip = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--require-hashes", "-r", str(SCHEMAS / "requirements.txt"), cwd=folder)
        for number, (module, inside) in enumerate(DEFINITIONS.items()):
            target = folder / f"definitions-{number}"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(_module(module, folder) / inside, target)

    folder = install("kubernetes", [Path(__file__), SCHEMAS / "requirements.txt"], fetch)
    return folder / "venv" / "bin" / "python", tuple(sorted(folder.glob("definitions-*")))


def _module(module: str, folder: Path) -> Path:
    """Where `go mod download` puts a module, which it verifies by Go's checksum database."""
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(json.loads(done.stdout)["Dir"])


def problems(manifests: list[dict[str, Any]]) -> list[str]:
    """What the schemas of Kubernetes and of the custom resources find wrong, unknown fields included."""
    python, definitions = _installed_schemas()
    command = [str(python), str(SCHEMAS / "validate.py"), *map(str, definitions)]
    text = json.dumps(manifests)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
