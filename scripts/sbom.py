"""Prints the software bill of materials of a lock: `sbom.py UV LOCK`.

The tool knows a lock, and not whose it is: our own name, version and licence are put on top of what it says. The same
lock and version give the same bytes.
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
        sys.stderr.write(f"{done.stderr}\n{TOOL} could not be run; no bill was written.\n")
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
        # The tool names a component by its line in the lock.
        component["bom-ref"] = component["purl"]
        component.pop("description", None)
    bill["dependencies"] = [{"ref": "okta-bff", "dependsOn": sorted(each["bom-ref"] for each in bill["components"])}]
    print(json.dumps(bill, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
