"""The whole path: an empty org, `bff okta apply`, `bff doctor` all green, and a browser that signs in."""

import json
from pathlib import Path

from bff.app import build_app
from bff.base64url import encode_base64url
from bff.config.settings import load_settings
from bff.session.keyring import new_key
from bff.storage.sqlite.filesystem import filesystem_type, is_ephemeral
from tests.harness.http_browser import Browser
from tests.harness.world import Upstream, listening, serving
from tests.unit.admin.okta.org import empty_org


async def test_from_an_empty_org_by_a_doctor_who_finds_nothing_to_a_person_who_is_signed_in(tmp_path: Path) -> None:
    with listening() as public, listening() as api:
        public_url = f"http://localhost:{public.getsockname()[1]}"
        async with empty_org(tmp_path) as operator:
            operator.environ |= {"BFF_PUBLIC_URL": public_url}
            planned = await operator.okta_process("plan")
            assert planned.code == 2
            assert "does not exist yet" in planned.stdout

            applied = await operator.okta_process("apply")
            assert applied.code == 0, applied.stdout + applied.stderr
            assert (await operator.okta_process("plan")).code == 0

            routes = [{"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}"}]
            environ = {
                **operator.environ,  # the token for the Management API among it: a running BFF reads none of that
                **operator.held(),
                "BFF_SESSION_KEYS": encode_base64url(new_key()),
                "BFF_STORE": f"sqlite:///{tmp_path / 'bff.db'}",
                "BFF_ROUTES": json.dumps(routes),
            }
            upstream, browser = Upstream(), Browser(public_url)
            app = build_app(load_settings(environ))
            async with serving(upstream, api), serving(app, public, lifespan="on"):
                try:
                    seen = await operator.doctor("--json", **environ)
                    told = {name: one for name, one in seen.findings.items() if one["status"] != "ok"}
                    # Only a container's own layer is remarked upon, where the tests run in one.
                    passing = is_ephemeral(filesystem_type(tmp_path) or "")
                    assert (seen.code, list(told)) == (0, ["store"] if passing else [])
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


async def test_the_app_that_apply_makes_rotates_refresh_tokens_with_our_grace(tmp_path: Path) -> None:
    async with empty_org(tmp_path) as operator:
        operator.environ["BFF_REFRESH_GRACE"] = "45"
        client_id = await operator.apply()
        app = operator.okta.control.apps.of_client(client_id)
        assert app is not None
        assert app.client.rotation == ("rotate", 45)
        assert app.client.pkce_required
