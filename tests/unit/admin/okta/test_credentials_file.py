"""The file that the client's id and secret are written to."""

import os
import stat
from pathlib import Path

import pytest

from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.errors import ConfigurationError

BOTH = ClientCredentials("0oa1", "a-secret-0123456789")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        file = CredentialsFile(tmp_path / "new" / "okta.env", "env")
        file.prepare()
        assert file.write(BOTH)
    finally:
        os.umask(before)
    assert mode(file.path) == 0o600
    assert mode(file.path.parent) & 0o077 == 0


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "okta.env", "env")
    assert file.read() == ClientCredentials()
    file.write(BOTH)
    assert file.read() == BOTH
    secret = CredentialsFile(tmp_path / "secret", "secret")
    secret.write(BOTH)
    assert secret.path.read_text() == "a-secret-0123456789\n"
    assert secret.read() == ClientCredentials(client_secret="a-secret-0123456789")


@pytest.mark.parametrize("value", ["with blank", "dollar$HOME", "quote'in'it", 'double"quote', "back\\slash", "#hash"])
def test_a_secret_with_characters_of_a_shell_is_read_back(tmp_path: Path, value: str) -> None:
    file = CredentialsFile(tmp_path / "okta.env", "env")
    file.write(ClientCredentials("0oa1", value))
    assert file.read().client_secret == value


def test_the_same_content_is_not_written_again_but_a_lax_mode_is_fixed(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "okta.env", "env")
    assert file.write(BOTH)
    assert not file.write(BOTH)
    file.path.chmod(0o640)
    assert file.write(BOTH)
    assert mode(file.path) == 0o600


def test_other_lines_stay_and_ours_are_there_once(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "okta.env", "env")
    file.path.write_text(
        "# BFF_CLIENT_ID=in-a-comment\nBFF_CLIENT_ID=old\nexport BFF_CLIENT_SECRET='older'\nBFF_CLIENT_SECRET_NEXT=n\n"
    )
    file.write(BOTH)
    assert file.path.read_text().splitlines() == [
        "# BFF_CLIENT_ID=in-a-comment",
        "BFF_CLIENT_SECRET_NEXT=n",
        "BFF_CLIENT_ID=0oa1",
        "BFF_CLIENT_SECRET=a-secret-0123456789",
    ]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "public.txt"
    target.write_text("BFF_X=1\n")
    link = tmp_path / "okta.env"
    link.symlink_to(target)
    CredentialsFile(link, "env").write(BOTH)
    assert target.read_text() == "BFF_X=1\n"
    assert not link.is_symlink()


@pytest.mark.parametrize("kind", ["env", "secret"])
def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path):
        file = CredentialsFile(path, "env" if kind == "env" else "secret")
        with pytest.raises(ConfigurationError, match="--env-file"):  # noqa: PT012 - either of the two
            file.prepare()
            file.write(BOTH)
