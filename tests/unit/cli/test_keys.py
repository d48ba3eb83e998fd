"""`bff keys`: new ones are good ones, and a list never shows them."""

import hashlib
from base64 import urlsafe_b64decode
from pathlib import Path

from bff.config.settings import load_settings
from tests.harness.bff_command import bff
from tests.harness.settings import KEY, OLD_KEY, with_changes


def key_id(key: str) -> str:
    return hashlib.sha256(urlsafe_b64decode(key + "=")).hexdigest()[:8]


def test_a_new_key_is_accepted_and_never_the_same(tmp_path: Path) -> None:
    first, second = (bff("keys", "new", cwd=tmp_path).stdout.strip() for _ in range(2))
    assert first != second
    assert len(load_settings(with_changes(session_keys=f"{first} {second}")).session.key_ring) == 2


def test_the_list_shows_ids_newest_first_and_no_key(tmp_path: Path) -> None:
    done = bff("keys", "list", environ=with_changes(session_keys=f"{KEY},{OLD_KEY}"), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"{key_id(KEY)}  newest: encrypts and decrypts\n{key_id(OLD_KEY)}  decrypts only\n"


def test_a_list_of_wrong_keys_is_a_wrong_configuration(tmp_path: Path) -> None:
    done = bff("keys", "list", environ=with_changes(session_keys="changeme"), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
