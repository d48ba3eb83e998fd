"""The command blocks of the documents, run by a shell as they stand there; only addresses and places are replaced."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.telemetry.logging import JsonFormatter
from tests.harness.bff_command import PATIENCE
from tests.harness.command_blocks import command_block, commands, run_commands
from tests.harness.okta_org import API_TOKEN, Operator, empty_org
from tests.harness.places import ROOT


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with empty_org(tmp_path) as one:
        one.environ |= {"BFF_LISTEN": "127.0.0.1:0", "BFF_MANAGEMENT_LISTEN": "off"}
        yield one


async def test_the_way_to_a_new_org(tmp_path: Path) -> None:
    (tmp_path / ".okta-token").write_text(API_TOKEN)
    async with empty_org(tmp_path) as operator:
        block = command_block("docs/okta.md: By command")
        lines = commands(block.replace("https://example.okta.com", operator.okta.base_url))
        ran = await run_commands(lines, here=tmp_path, environ={})
    # plan finds differences, apply, plan finds none, doctor
    assert ran.exit_codes == [0, 0, 0, 0, 0, 2, 0, 0, 0], ran.output
    assert "Nothing differs." in ran.output
    assert operator.env_file.stat().st_mode & 0o777 == 0o600
    assert API_TOKEN not in ran.output


async def test_one_env_file_for_every_command(operator: Operator, tmp_path: Path) -> None:
    lines = commands(command_block("docs/cli.md: Where settings come from"))
    ran = await run_commands(lines, here=tmp_path, environ=operator.served())
    assert ran.exit_codes == [0, 0, 0], ran.output


async def test_check_doctor_and_serve(operator: Operator, tmp_path: Path) -> None:
    await operator.apply()
    lines = commands(command_block("README.md: Use it with a real Okta org #3"))
    ran = await run_commands(lines, here=tmp_path, environ=operator.served())
    assert ran.exit_codes == [0, 0, 0], ran.output


@pytest.mark.parametrize("document", ["okta", "operations"])
async def test_a_new_client_secret(document: str, operator: Operator, tmp_path: Path) -> None:
    app = await operator.applied_app()
    before = [secret.value for secret in app.secrets]
    places = {
        "okta": command_block("docs/okta.md: A new secret"),
        "operations": command_block("docs/operations.md: The client secret"),
    }
    deploy = f"set -a; . {operator.env_file}; set +a"
    lines = commands(places[document])
    ran = await run_commands(lines, here=tmp_path, environ=operator.served(), before_each=deploy)
    assert ran.exit_codes == [0, 0, 0], ran.output
    assert [secret.value for secret in app.secrets] == [operator.held()["BFF_CLIENT_SECRET"]] != before


async def test_new_session_keys(operator: Operator, tmp_path: Path) -> None:
    await operator.apply()
    keys = tmp_path / "session_keys"
    keys.write_text(operator.session_key + "\n")
    environ = {name: value for name, value in operator.served().items() if name != "BFF_SESSION_KEYS"}
    lines = commands(command_block("docs/operations.md: Rotate the session keys"))
    ran = await run_commands(lines, here=tmp_path, environ={**environ, "BFF_SESSION_KEYS_FILE": str(keys)})
    assert ran.exit_codes == [0] * len(lines), ran.output
    assert keys.read_text().split() == (tmp_path / "new").read_text().split() != [operator.session_key]
    assert keys.stat().st_mode & 0o077 == 0


async def test_signing_everybody_out(operator: Operator, tmp_path: Path) -> None:
    await operator.apply()
    lines = commands(command_block("docs/operations.md: Sign everybody out"))
    ran = await run_commands(lines, here=tmp_path, environ=operator.served())
    assert ran.exit_codes == [0, 0, 0], ran.output


async def test_completion_for_three_shells(tmp_path: Path) -> None:
    block = command_block("docs/cli.md: Completion").replace("/etc/bash_completion.d", str(tmp_path))
    (tmp_path / ".config/fish/completions").mkdir(parents=True)
    lines = [f"fpath=(unused {tmp_path})", *commands(block)]
    ran = await run_commands(lines, here=tmp_path, environ={})
    assert ran.exit_codes == [0, 0, 0, 0], ran.output
    for name in ("bff", "_bff", ".config/fish/completions/bff.fish"):
        assert "_BFF_COMPLETE" in (tmp_path / name).read_text()


async def test_a_reference_leads_to_its_log_lines(tmp_path: Path) -> None:
    (line,) = commands(command_block("docs/tracing.md: From an error to the log"))
    (reference,) = re.findall(r"[0-9a-f]{16}", line)
    records = [
        logging.makeLogRecord({"name": "bff", "msg": "one", "levelno": 20, "levelname": "INFO", "correlation_id": each})
        for each in (reference, "0" * 16)
    ]
    (tmp_path / "bff.log").write_text("".join(JsonFormatter().format(record) + "\n" for record in records))
    ran = await run_commands([line], here=tmp_path, environ={})
    assert ran.exit_codes == [0], ran.output
    (shown,) = [json.loads(line) for line in ran.output.splitlines() if line.startswith("{")]
    assert shown["correlation_id"] == reference


def make_lines() -> list[str]:
    blocks = [
        command_block("README.md: Try it: two commands"),
        command_block("CONTRIBUTING.md: Set up"),
        command_block("CONTRIBUTING.md: Tests"),
    ]
    return [line for block in blocks for line in commands(block)]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_every_target_of_make_is_there_and_selects_tests() -> None:
    """Without running them: they are what runs this test, and take up to hours."""
    selections = []
    for line in make_lines():
        if re.match(r"([A-Z]+=\S+ )*make ", line):
            done = run("bash", "-c", line.replace("make ", "make --dry-run ", 1))
            assert done.returncode == 0, line + done.stderr
            selections += re.findall(r"""make \S+ ARGS=("[^"]+"|\S+)""", line)
        elif line.startswith("scripts/repeat_tests.py "):
            said = run(sys.executable, "scripts/repeat_tests.py", "--help").stdout
            assert all(option in said for option in re.findall(r"--[a-z-]+", line)), line
        elif " -p scripts.vacuous_assertions " in line:
            done = run("bash", "-c", line.partition("#")[0].strip() + "/test_base64url.py --quiet")
            assert done.returncode == 0, line + done.stdout + done.stderr
        else:
            assert line.startswith(".venv/bin/python -m tests.proof.simulation "), line
            done = run(sys.executable, *line.split()[1:])
            assert done.returncode == 0, line + done.stderr
    together = [selection for selection in selections if " " not in selection]
    for selection in (*(each for each in selections if each not in together), " ".join(together)):
        arguments = selection.strip('"').split()
        if arguments[0] == "--case":
            arguments.append("tests/proof/live")  # which has the case; a collection of all tests takes longest here
        done = run(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments)
        assert done.returncode == 0, selection + done.stdout[-2000:] + done.stderr


def test_make_help_lists_the_targets() -> None:
    said = run("make", "help").stdout
    for line in make_lines():
        for target in re.findall(r"\bmake ([a-z-]+)", line):
            assert target == "help" or re.search(rf"(?m)^{target} ", said), target


@pytest.mark.long
async def test_the_installation(tmp_path: Path) -> None:
    block = command_block("README.md: Use it with a real Okta org").replace("/opt/bff", str(tmp_path / "bff"))
    lines = [f"cd {ROOT}", *commands(block), "bff version"]
    ran = await run_commands(lines, here=tmp_path, environ={})
    assert ran.exit_codes == [0, 0, 0, 0], ran.output
