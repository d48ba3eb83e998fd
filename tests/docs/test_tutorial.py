"""The commands of the tutorial, as they stand there, in a clean clone of this repository."""

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.harness.chromium import chromium
from tests.harness.command_blocks import command_block, commands, run_commands
from tests.harness.okta_org import API_TOKEN, PUBLIC_URL, empty_org
from tests.harness.places import ROOT
from tests.harness.ports import free_port, free_ports
from tests.harness.waiting import until

pytestmark = pytest.mark.docs

INSTALLS = 600.0  # seconds: the dependencies come from a package index
PATIENCE = 60_000  # milliseconds
READY = re.compile(r"Open (\S+) and sign in as (\S+) with the password (\S+)\. Ctrl-C stops the demo\.")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What somebody has who has just cloned the repository."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


@contextmanager
def in_a_terminal(commands: str, here: Path, **environ: str) -> Iterator[Path]:
    """Runs the commands in a shell until the end, and then presses Ctrl-C. The file has what they print."""
    printed = here.parent / f"printed-{len([*here.parent.iterdir()])}"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", commands],
            cwd=here,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield printed
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(INSTALLS)


async def sign_in_and_out(url: str, login: str, password: str, *, buttons: Iterable[str] = ()) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(url, timeout=PATIENCE)
        await page.get_by_text("Sign in", exact=True).first.click(timeout=PATIENCE)
        await page.get_by_label("Username").fill(login, timeout=PATIENCE)
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Sign in").click()
        for button in buttons:
            await expect(page.get_by_role("button", name=button)).to_be_visible(timeout=PATIENCE)
        await page.get_by_role("button", name="Sign out", exact=True).click(timeout=PATIENCE)
        await expect(page.get_by_text("Sign in", exact=True).first).to_be_visible(timeout=PATIENCE)


async def test_step_1_leads_to_a_signed_in_page(clone: Path) -> None:
    shown = (ROOT / "docs/tutorial/1-demo.md").read_text("utf-8")
    assert READY.search(shown), "step 1 shows what the demo prints"
    block = command_block("docs/tutorial/1-demo.md: Step 1: the demo")
    with in_a_terminal(block, clone, DEMO_PORT=str(free_ports(5))) as printed:
        await until(lambda: READY.search(printed.read_text()), within=INSTALLS)
        found = READY.search(printed.read_text())
        assert found is not None
        await sign_in_and_out(*found.groups(), buttons=re.findall(r"^- \*\*(.+?)\*\*", shown, re.MULTILINE))


async def test_step_3_shows_a_template_behind_the_development_server(clone: Path) -> None:
    here, port = "docs/tutorial/3-your-spa.md: A template, with hot reloading", free_port()
    url, demo_port = f"http://localhost:{port}", free_ports(5)
    demo = command_block(here).replace("http://localhost:5173", url)
    template = command_block(f"{here} #2").replace("npm run dev", f"npm run dev -- --port {port} --strictPort")
    with in_a_terminal(demo, clone, DEMO_PORT=str(demo_port)) as first:
        await until(lambda: READY.search(first.read_text()), within=INSTALLS)
        found = READY.search(first.read_text())
        assert found is not None
        assert found[1] == url
        with in_a_terminal(template, clone, BFF_URL=f"http://127.0.0.1:{demo_port}") as second:
            await until(lambda: url in second.read_text(), within=2 * INSTALLS)
            await sign_in_and_out(*found.groups())


async def test_steps_2_and_3_create_an_app_and_serve(clone: Path, tmp_path: Path) -> None:
    (tmp_path / ".okta-token").write_text(API_TOKEN)
    async with empty_org(tmp_path) as operator:
        lines = [
            *commands(command_block("docs/tutorial/2-okta.md: An app integration in Okta")),
            *commands(command_block("docs/tutorial/2-okta.md: Start the BFF")),
            *commands(command_block("docs/tutorial/3-your-spa.md: With your Okta org")),
        ]
        replaced = [line.replace("https://example.okta.com/oauth2/default", operator.okta.issuer) for line in lines]
        assert PUBLIC_URL not in "\n".join(lines), "the tutorial stays on this machine"
        environ = {"BFF_LISTEN": "127.0.0.1:0", "BFF_MANAGEMENT_LISTEN": "off"}
        ran = await run_commands(replaced, here=tmp_path, environ=environ, before_each="")
    codes = [*zip(lines, ran.exit_codes, strict=True)]
    expected = {
        "bff okta plan": 2,  # differences: there is no app yet
        "bff doctor --env-file var/okta.env": 1,  # nothing listens at port 9000
    }
    assert codes == [(line, expected.get(line, 0)) for line in lines], ran.output
