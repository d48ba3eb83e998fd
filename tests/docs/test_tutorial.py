"""The commands of the tutorial, as they stand there, in a clean clone of this repository."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.harness.chromium import chromium
from tests.harness.command_blocks import command_block, commands, run_commands
from tests.harness.okta_org import API_TOKEN, PUBLIC_URL, empty_org
from tests.harness.places import ROOT
from tests.harness.ports import free_ports
from tests.harness.waiting import until

pytestmark = pytest.mark.docs

INSTALLS = 600.0  # seconds: the dependencies come from a package index
PATIENCE = 60_000  # milliseconds


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What somebody has who has just cloned the repository."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


@pytest.fixture
def demo(clone: Path) -> Iterator[Path]:
    """Runs the command of step 1 in a shell; the file has what it prints."""
    printed = clone.parent / "printed"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", command_block("docs/tutorial/1-demo.md: Step 1: the demo")],
            cwd=clone,
            env={**os.environ, "DEMO_PORT": str(free_ports(4))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield printed
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    process.wait(INSTALLS)


async def test_step_1_leads_to_a_signed_in_page(demo: Path) -> None:
    line = re.compile(r"Open (\S+) and sign in as (\S+) with the password (\S+)\. Ctrl-C stops the demo\.")
    await until(lambda: line.search(demo.read_text()), within=INSTALLS)
    found = line.search(demo.read_text())
    assert found is not None
    shown = (ROOT / "docs/tutorial/1-demo.md").read_text("utf-8")
    assert line.search(shown), "step 1 shows what the demo prints"
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(found[1], timeout=PATIENCE)
        await page.get_by_role("link", name="Sign in", exact=True).click()
        await page.get_by_label("Username").fill(found[2])
        await page.get_by_label("Password").fill(found[3])
        await page.get_by_role("button", name="Sign in").click()
        for button in re.findall(r"^- \*\*(.+?)\*\*", shown, re.MULTILINE):
            await expect(page.get_by_role("button", name=button)).to_be_visible(timeout=PATIENCE)
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await expect(page.get_by_role("link", name="Sign in", exact=True)).to_be_visible(timeout=PATIENCE)


async def test_step_2_creates_an_app_and_serves(clone: Path, tmp_path: Path) -> None:
    (tmp_path / ".okta-token").write_text(API_TOKEN)
    async with empty_org(tmp_path) as operator:
        lines = [
            *commands(command_block("docs/tutorial/2-okta.md: An app integration in Okta")),
            *commands(command_block("docs/tutorial/2-okta.md: Start the BFF")),
        ]
        replaced = [line.replace("https://example.okta.com/oauth2/default", operator.okta.issuer) for line in lines]
        assert PUBLIC_URL not in "\n".join(lines), "the tutorial stays on this machine"
        environ = {"BFF_LISTEN": "127.0.0.1:0", "BFF_MANAGEMENT_LISTEN": "off"}
        ran = await run_commands(replaced, here=tmp_path, environ=environ, before_each="")
    codes = dict(zip(lines, ran.exit_codes, strict=True))
    assert codes.pop("bff okta plan") == 2, ran.output  # differences: there is no app yet
    assert codes.pop("bff doctor --env-file var/okta.env") == 1, ran.output  # nothing listens at port 9000
    assert set(codes.values()) == {0}, ran.output
