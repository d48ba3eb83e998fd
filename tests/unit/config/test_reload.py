"""Session keys and client secrets change while the process runs; whatever is wrong changes nothing."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from bff.config.reload import SettingsReload, Sources
from bff.config.settings import Settings
from bff.session.keyring import KeyRing, key_id
from tests.harness.settings import KEY, OLD_KEY, with_changes


class House:
    """What takes over new settings: a key ring, as the application has one."""

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
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def ids(*keys: str) -> tuple[str, ...]:
    from bff.base64url import decode_base64url

    return tuple(key_id(decode_base64url(each) or b"") for each in keys)


@pytest.mark.parametrize("how", [pytest.param("write", id="OP-018-written"), "rename", "link"])
async def test_a_changed_file_is_seen_and_taken_over(house: House, how: str) -> None:
    watching = asyncio.create_task(house.reload.watch())
    new = house.keys.with_name("keys.new")
    match how:
        case "write":
            house.keys.write_text(f"{OLD_KEY} {KEY}")
        case "rename":
            new.write_text(f"{OLD_KEY} {KEY}")
            os.replace(new, house.keys)
        case "link":  # how a mounted secret changes in Kubernetes
            new.write_text(f"{OLD_KEY} {KEY}")
            house.keys.unlink()
            house.keys.symlink_to(new)
    async with asyncio.timeout(60):
        while house.ring.key_ids != ids(OLD_KEY, KEY):
            await asyncio.sleep(0.01)
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
def test_a_wrong_file_keeps_the_old_keys_and_tells_no_secret(
    house: House, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if wrong is None:
        house.keys.unlink()
    else:
        house.keys.write_text(wrong, "latin-1")
    assert house.reload.reload() is False
    assert house.ring.key_ids == ids(KEY)
    assert "the settings were not reloaded" in caplog.text
    assert KEY not in caplog.text
    house.keys.write_text(f"{OLD_KEY} {KEY}")
    assert house.reload.reload() is True
    assert house.ring.key_ids == ids(OLD_KEY, KEY)


def test_a_client_secret_is_read_again(house: House) -> None:
    house.secret.write_text("the-second-client-secret-0123456789abcde")
    assert house.reload.reload() is True
    assert house.settings.provider.client_secret is not None
    assert house.settings.provider.client_secret.get_secret_value() == "the-second-client-secret-0123456789abcde"


def test_what_needs_a_restart_is_told_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toml = tmp_path / "bff.toml"
    toml.write_text("idle_timeout = 600\n")
    house = House(tmp_path)
    before = house.sources.stamp()
    toml.write_text("idle_timeout = 1200\n")  # another size: the clock of a file stands still for milliseconds
    assert house.sources.stamp() != before
    assert house.reload.reload() is True
    assert [record.settings for record in caplog.records if hasattr(record, "settings")] == ["idle_timeout"]


def test_two_wrong_things_at_once_change_nothing(house: House) -> None:
    house.keys.write_text(f"{OLD_KEY} {KEY}")
    house.secret.write_text("")
    assert house.reload.reload() is False
    assert house.ring.key_ids == ids(KEY)
