"""From an empty org by `bff okta apply` and a healthy `bff doctor` to a user who is signed in."""

import json
from pathlib import Path

from bff.app import build_app
from bff.config.settings import load_settings
from bff.storage.sqlite.filesystem import filesystem_type, is_ephemeral
from tests.harness.http_browser import Browser
from tests.harness.okta_org import empty_org
from tests.harness.world import Upstream, listening, serving


async def test_from_an_empty_org_to_a_healthy_bff_and_a_signed_in_user(tmp_path: Path) -> None:
    with listening() as public, listening() as api:
        public_url = f"http://localhost:{public.getsockname()[1]}"
        async with empty_org(tmp_path) as operator:
            operator.environ |= {"BFF_PUBLIC_URL": public_url}
            planned = await operator.bff_okta("plan")
            assert planned.code == 2
            assert "does not exist yet" in planned.stdout
            await operator.apply()
            assert (await operator.bff_okta("plan")).code == 0

            routes = [{"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}"}]
            environ = {**operator.served(), "BFF_ROUTES": json.dumps(routes)}
            upstream, browser = Upstream(), Browser(public_url)
            app = build_app(load_settings(environ))
            async with serving(upstream, api), serving(app, public, lifespan="on"):
                try:
                    seen = await operator.doctor("--json", **environ)
                    others = [name for name, finding in seen.findings.items() if finding["status"] != "ok"]
                    # The file system of a container is remarked upon.
                    ephemeral = is_ephemeral(filesystem_type(tmp_path) or "")
                    assert (seen.code, others) == (0, ["store"] if ephemeral else [])
                    assert {"upstream /api", "public_url", "okta", "rotation", "store"} <= seen.findings.keys()

                    await browser.sign_in(return_to="/orders")
                    assert (await browser.session())["user"]["email"] == "alice@example.com"
                    assert (await browser.fetch("/api/orders")).status_code == 200
                    url = (await browser.sign_out())["end_session_url"]
                    at_okta = (await browser.navigate(url, follow=False)).headers["location"]
                    assert at_okta.startswith(operator.okta.issuer)
                finally:
                    await browser.close()
            assert operator.okta.control.violations == []
