"""Session keys and client secrets change while the process runs; whatever is wrong changes nothing."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from bff.base64url import decode_base64url
from bff.config.reload import SettingsReload, Sources
from bff.config.settings import Settings
from bff.session.keyring import KeyRing, key_id
from tests.harness.settings import KEY, OLD_KEY, with_changes
from tests.harness.waiting import until


class Reloading:
    """Settings from files, and the key ring that a reload changes."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.keys, self.secret = folder / "keys", folder / "secret"
        self.keys.write_text(KEY)
        self.secret.write_text("the-first-client-secret-0123456789abcdef")
        files = {"session_keys_file": str(self.keys), "client_secret_file": str(self.secret)}
        environ = with_changes(session_keys=None, client_secret=None, **{**files, **changes})
        self.sources = Sources(environ, folder / "bff.toml" if (folder / "bff.toml").exists() else None)
        self.settings = self.sources.load()
        self.ring = KeyRing.from_keys(self.settings.session.key_ring)
        self.reload = SettingsReload(self.settings, self.sources, self._apply, poll_interval=0.01)

    def _apply(self, settings: Settings, changed: frozenset[str]) -> None:
        self.ring.replace_keys(settings.session.key_ring)
        self.settings = settings


@pytest.fixture
def reloading(tmp_path: Path) -> Reloading:
    return Reloading(tmp_path)


def ids(*keys: str) -> tuple[str, ...]:
    return tuple(key_id(decode_base64url(key) or b"") for key in keys)


@pytest.mark.parametrize("how", [pytest.param("write", id="OP-018-written"), "rename", "link"])
async def test_a_changed_file_is_reloaded(reloading: Reloading, how: str) -> None:
    watching = asyncio.create_task(reloading.reload.watch())
    new = reloading.keys.with_name("keys.new")
    match how:
        case "write":
            reloading.keys.write_text(f"{OLD_KEY} {KEY}")
        case "rename":
            new.write_text(f"{OLD_KEY} {KEY}")
            os.replace(new, reloading.keys)
        case "link":  # how a mounted secret changes in Kubernetes
            new.write_text(f"{OLD_KEY} {KEY}")
            reloading.keys.unlink()
            reloading.keys.symlink_to(new)
    await until(lambda: reloading.ring.key_ids == ids(OLD_KEY, KEY))
    watching.cancel()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param("", id="OP-018-empty"),
        pytest.param("changeme", id="OP-018-weak"),
        pytest.param(f"{KEY} {KEY}", id="OP-018-twice"),
        pytest.param("\xff" * 40, id="OP-018-garbage"),
        pytest.param(None, id="OP-018-gone"),
    ],
)
def test_an_invalid_file_changes_nothing_and_is_not_logged(
    reloading: Reloading, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if wrong is None:
        reloading.keys.unlink()
    else:
        reloading.keys.write_text(wrong, "latin-1")
    assert reloading.reload.reload() is False
    assert reloading.ring.key_ids == ids(KEY)
    assert "the settings were not reloaded" in caplog.text
    assert KEY not in caplog.text
    reloading.keys.write_text(f"{OLD_KEY} {KEY}")
    assert reloading.reload.reload() is True
    assert reloading.ring.key_ids == ids(OLD_KEY, KEY)


def test_a_client_secret_is_read_again(reloading: Reloading) -> None:
    reloading.secret.write_text("the-second-client-secret-0123456789abcde")
    assert reloading.reload.reload() is True
    assert reloading.settings.provider.client_secret is not None
    assert reloading.settings.provider.client_secret.get_secret_value() == "the-second-client-secret-0123456789abcde"


def test_changed_settings_that_need_a_restart_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toml = tmp_path / "bff.toml"
    toml.write_text("idle_timeout = 600\n")
    reloading = Reloading(tmp_path)
    before = reloading.sources.stamp()
    toml.write_text("idle_timeout = 1200\n")  # another size: the clock of a file stands still for milliseconds
    assert reloading.sources.stamp() != before
    assert reloading.reload.reload() is True
    assert [record.settings for record in caplog.records if hasattr(record, "settings")] == ["idle_timeout"]


def test_one_invalid_setting_prevents_every_change(reloading: Reloading) -> None:
    reloading.keys.write_text(f"{OLD_KEY} {KEY}")
    reloading.secret.write_text("")
    assert reloading.reload.reload() is False
    assert reloading.ring.key_ids == ids(KEY)
