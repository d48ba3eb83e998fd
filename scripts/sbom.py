"""Prints the software bill of materials of an image: `sbom.py UV LOCK [IMAGE]`.

The packages of the lock file that the image's platform needs, with their hashes, and, with IMAGE, the Debian packages
that a container of it has. With IMAGE the Python packages are compared with those that are installed in it, and a
difference is an error. The same lock file and image give the same bytes.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bff import __version__  # noqa: E402

TOOL = "cyclonedx-bom==7.5.0"
# The image: CPython of the Dockerfile on Linux.
PLATFORM: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
INSTALLED: Final = "import importlib.metadata as m; print(*{f'{d.name}=={d.version}' for d in m.distributions()})"


def python_version(dockerfile: str) -> str:
    """The version of Python in the image, like 3.13.9."""
    version = re.search(r"(?m)^ARG PYTHON=python:([0-9.]+)", dockerfile)
    if version is None:
        raise SystemExit("the Dockerfile names no version of Python")
    return version[1]


def needed(lock: str, python: str) -> dict[str, str]:
    """The version of each package of the lock file that the image installs, by name."""
    environment = {**PLATFORM, "python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    pins = re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))?(?: \\)?$", lock)
    return {
        canonicalize_name(name): version
        for name, version, marker in pins
        if not marker or Marker(marker).evaluate(environment)
    }


def debian_packages(status: str) -> list[dict[str, Any]]:
    """The components of dpkg's database (/var/lib/dpkg/status)."""
    components = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"(?m)^([A-Z][\w-]*): (.*)$", paragraph))
        if fields.get("Status") != "install ok installed":
            continue
        purl = f"pkg:deb/debian/{fields['Package']}@{fields['Version']}?arch={fields['Architecture']}"
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": fields["Package"],
                "version": fields["Version"],
                "purl": purl,
            }
        )
    return sorted(components, key=lambda component: component["bom-ref"])


def in_container(image: str, *command: str) -> str:
    """What a command prints in a container of the image, without network. Raises SystemExit."""
    arguments = ["docker", "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:]]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"{image} cannot be examined: {done.stderr.strip()}")
    return done.stdout


def main(uv: str, lock: str, image: str = "") -> int:
    command = [uv, "tool", "run", "--quiet", "--from", TOOL, "cyclonedx-py", "requirements"]
    options = ["--output-reproducible", "--of", "JSON", "--sv", "1.6", "--short-PURLs", lock]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.stderr.write(f"{done.stderr}\n{TOOL} failed; no bill of materials was written.\n")
        return 1
    bill = json.loads(done.stdout)
    packages = needed((ROOT / lock).read_text("utf-8"), python_version((ROOT / "Dockerfile").read_text("utf-8")))
    operating_system: list[dict[str, Any]] = []
    if image:
        pairs = [pair.split("==") for pair in in_container(image, "python", "-c", INSTALLED).split()]
        installed = {canonicalize_name(name): version for name, version in pairs}
        expected = {**packages, "okta-bff": __version__}
        if installed != expected:
            sys.stderr.write(f"{image} does not match {lock}: {sorted(installed.items() ^ expected.items())}\n")
            return 1
        operating_system = debian_packages(in_container(image, "cat", "/var/lib/dpkg/status"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bill["metadata"]["component"] = {
        "type": "application",
        "bom-ref": "okta-bff",
        "name": project["name"],
        "version": __version__,
        "description": project["description"],
        "licenses": [{"license": {"id": project["license"]}}],
        "purl": f"pkg:pypi/{project['name']}@{__version__}",
    }
    bill["components"] = [
        component for component in bill["components"] if canonicalize_name(component["name"]) in packages
    ]
    for component in bill["components"]:
        # The tool identifies a component by its line in the lock file.
        component["bom-ref"] = component["purl"]
        component.pop("description", None)
    bill["dependencies"] = [
        {"ref": "okta-bff", "dependsOn": sorted(component["bom-ref"] for component in bill["components"])}
    ]
    bill["components"] += operating_system
    print(json.dumps(bill, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
