"""The search of tests/proof/containers for secrets in the containers' logs would find each of them."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.make_secrets import READERS, main
from tests.harness.canaries import Canaries

NAMES = READERS["bff"][1]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the service `secrets` makes for a replica. The files end without a line break, or with one."""
    monkeypatch.setattr("os.chown", lambda *_: None)  # root only
    for reader in READERS:
        (tmp_path / "for" / reader).mkdir(parents=True)
    (tmp_path / "own").mkdir()
    main(tmp_path / "own", tmp_path / "for")
    return {name: (tmp_path / "own" / name).read_text("utf-8") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_secret_is_found_in_a_log(files: dict[str, str], name: str) -> None:
    canaries = Canaries({})
    canaries.add_files(files)
    (secret,) = files[name].split()
    assert canaries.found_in(f"bff-1  | started with {secret}, retrying\n")
    assert canaries.found_in("bff-1  | started\nredis  | ready\n") == []


def test_the_password_of_the_store_is_found_without_its_url(files: dict[str, str]) -> None:
    canaries = Canaries({})
    canaries.add_files(files)
    assert "store_url as it is" in canaries.found_in(f"AUTH bff {urlsplit(files['store_url']).password}")


def test_each_key_of_a_ring_is_found() -> None:
    canaries = Canaries({})
    canaries.add_files({"session_keys": "the-newest-key-of-the-ring\nthe-older-key-of-the-ring\n"})
    assert canaries.found_in("key the-older-key-of-the-ring")


def test_a_file_without_a_secret_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="client_secret"):
        Canaries({}).add_files({"client_secret": "\n"})
