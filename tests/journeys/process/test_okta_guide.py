"""The command block of docs/okta.md, run by a shell on an empty org with only the org's address replaced."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from tests.harness.bff_command import PATIENCE
from tests.harness.okta_org import API_TOKEN, empty_org
from tests.harness.places import ROOT

GUIDE = ROOT / "docs" / "okta.md"
EXIT_CODES = [2, 0, 0, 0]  # plan finds differences, apply, plan finds none, doctor


async def test_the_commands_of_the_guide_run_as_documented(tmp_path: Path) -> None:
    block = re.search(r"(?ms)^## By command\n\n```sh\n(.*?)^```", GUIDE.read_text("utf-8"))
    assert block is not None
    (tmp_path / ".okta-token").write_text(API_TOKEN)
    async with empty_org(tmp_path) as operator:
        lines = block[1].replace("https://example.okta.com", operator.okta.base_url).splitlines()
        script = "\n".join(f'{line}\necho "exit $?"' if line.startswith("bff ") else line for line in lines)
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    codes = [int(code) for code in re.findall(r"^exit (\d+)$", done.stdout, re.MULTILINE)]
    assert codes == EXIT_CODES, done.stdout + done.stderr
    assert "Nothing differs." in done.stdout
    assert operator.env_file.stat().st_mode & 0o777 == 0o600
    assert API_TOKEN not in done.stdout + done.stderr
