"""What python-jose brings along and nobody here uses is never imported: not by the whole application at work."""

import subprocess
import sys
from pathlib import Path

from tests.harness.places import ROOT

# A process of its own: what other tests import is no matter. Sign-in, refresh, logout token and sign-out verify and
# make signatures of every kind that the application knows.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from demo.simulator.grants import RotationPolicy
before = {name for name in sys.modules if name.partition(".")[0] in ("ecdsa", "rsa", "pyasn1")}
from bff.oidc.dpop import new_dpop_key
from tests.harness.world import small_world
import httpx

async def main(directory):
    async with small_world(directory, rotation=RotationPolicy(access_token_lifetime=300), dpop="on") as world:
        browser = world.browser()
        await browser.sign_in()
        world.advance(301)
        assert (await browser.fetch("/api/x")).status_code == 200
        assert world.okta.control.refresh_requests == 1
        sub = world.okta.control.person("alice@example.com").sub
        token = world.okta.control.orders.logout_token(sub=sub)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            sent = await http.post(f"{world.public_url}/auth/backchannel-logout", data={"logout_token": token})
        assert sent.status_code == 200, sent.text
        await browser.sign_in()
        await browser.navigate((await browser.sign_out())["end_session_url"])
        await world.settled()

asyncio.run(main(Path(sys.argv[1])))
assert "jose.jwk" in sys.modules and "cryptography" in sys.modules, "this is the application at work"
print(sorted(before | {name for name in sys.modules if name.partition(".")[0] in ("ecdsa", "rsa", "pyasn1")}))
"""


def test_neither_ecdsa_nor_rsa_nor_pyasn1_is_imported_at_run_time(tmp_path: Path) -> None:
    root = ROOT
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"
