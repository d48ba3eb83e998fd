"""Prints the software bill of materials of a lock file: `sbom.py UV LOCK`.

The tool reads only the lock file, so this script adds the name, version and licence of the project. The output is
reproducible: the same lock file and version give the same bytes.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bff import __version__  # noqa: E402

TOOL = "cyclonedx-bom==7.5.0"


def main(uv: str, lock: str) -> int:
    command = [uv, "tool", "run", "--quiet", "--from", TOOL, "cyclonedx-py", "requirements"]
    options = ["--output-reproducible", "--of", "JSON", "--sv", "1.6", "--short-PURLs", lock]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.stderr.write(f"{done.stderr}\n{TOOL} failed; no bill of materials was written.\n")
        return 1
    bill = json.loads(done.stdout)
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
    for component in bill["components"]:
        # The tool identifies a component by its line in the lock file.
        component["bom-ref"] = component["purl"]
        component.pop("description", None)
    bill["dependencies"] = [
        {"ref": "okta-bff", "dependsOn": sorted(component["bom-ref"] for component in bill["components"])}
    ]
    print(json.dumps(bill, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
