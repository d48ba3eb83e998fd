"""`bff doctor` with the settings that work: nothing to complain about."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.bff_command import bff as run_bff
from tests.providers.deployment import deployed
from tests.providers.provider import Provider, Wish

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]


async def test_doctor_finds_no_fault(tmp_path: Path, provider: Provider, seen: Callable[[str], None]) -> None:
    async with deployed(tmp_path, provider, Wish(api_tokens=True)) as bff:
        said = await asyncio.to_thread(run_bff, "doctor", "--json", environ=bff.environ, cwd=tmp_path)
        checks = json.loads(said.stdout)["findings"]
        provider_and_app = [check for check in checks if not check["name"].startswith("store")]
        assert [check for check in provider_and_app if check["status"] == "fail"] == []
        warned = [check["name"] for check in provider_and_app if check["status"] == "warn"]
        tokens = [check for check in checks if check["name"].startswith("api_token ")]
        assert "/own" in str(tokens)
        assert {check["status"] for check in tokens} == {"ok"}
        # Skipped are checks of an Okta org, which this is not.
        assert [check for check in checks if "Okta" in check["observed"] + check["fix"]] == []
    seen("no fault" + "".join(f"; a warning about {name}" for name in warned))
