"""The operator's own style sheet: behind ours, allowed by its hash, and unable to load anything."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from bff.errors import SignInFailed
from bff.web.error_page import ErrorPages
from tests.harness.settings import problems, with_changes
from tests.harness.world import small_world


def page(own: str | None) -> tuple[str, str]:
    """The style sheet as a browser hashes it, and the policy."""
    _, headers, body = ErrorPages(stylesheet=own).render(SignInFailed(), correlation_id="c-1")
    found = re.search(r"<style>(.*)</style>", body.decode(), re.DOTALL)
    assert found is not None
    return found[1], dict(headers)[b"content-security-policy"].decode()


@pytest.mark.parametrize("own", [None, ":root { --link: #b00020; }", "a { color: red }\r\nb { }\r", "/* {braces} é */"])
def test_the_policy_allows_exactly_the_style_that_is_on_the_page(own: str | None) -> None:
    css, policy = page(own)
    assert f"style-src 'sha256-{b64encode(sha256(css.encode()).digest()).decode()}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "\r" not in css
    assert own is None or css.endswith(own.replace("\r\n", "\n").replace("\r", "\n"))


@pytest.mark.parametrize("wrong", [b"</style><script>", b"\xff", b"a" * 65537, b"\0"])
def test_what_is_no_style_sheet_stops_the_start(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "pages.css"
    path.write_bytes(wrong)
    assert "BFF_PAGE_STYLE_FILE" in problems(with_changes(page_style_file=str(path)))


async def test_a_person_sees_it_on_the_page_of_a_failed_sign_in(tmp_path: Path) -> None:
    path = tmp_path / "pages.css"
    path.write_text(":root { --link: #b00020; }")
    async with small_world(tmp_path, page_style_file=str(path)) as world:
        answer = await world.browser().navigate("/authorization-code/callback?state=forged&code=x")
        assert "--link: #b00020" in answer.text
