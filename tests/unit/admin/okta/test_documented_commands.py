"""The command block of docs/okta.md, run by a shell on an empty org with only the org's address replaced."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from tests.harness.places import ROOT
from tests.unit.admin.okta.org import API_TOKEN, Operator

GUIDE = ROOT / "docs" / "okta.md"
PROMISED = [2, 0, 0, 0]  # plan finds differences, apply, plan finds none, doctor


async def test_the_commands_of_the_guide_run_as_they_stand_there(operator: Operator) -> None:
    block = re.search(r"(?ms)^## By command\n\n```sh\n(.*?)^```", GUIDE.read_text("utf-8"))
    assert block is not None
    lines = block[1].replace("https://example.okta.com", operator.okta.base_url).splitlines()
    script = "\n".join(f'{line}\necho "exit $?"' if line.startswith("bff ") else line for line in lines)
    (operator.here / ".okta-token").write_text(API_TOKEN)
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", script],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(operator.here)},
        cwd=operator.here,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    codes = [int(code) for code in re.findall(r"^exit (\d+)$", done.stdout, re.MULTILINE)]
    assert codes == PROMISED, done.stdout + done.stderr
    assert "Nothing differs." in done.stdout
    assert operator.env_file.stat().st_mode & 0o777 == 0o600
    assert API_TOKEN not in done.stdout + done.stderr
