"""Env files, as shells, systemd and container engines read them."""

from pathlib import Path

import pytest

from bff.config.env_file import MAX_BYTES, read_env_file
from bff.errors import ConfigurationError

CONTENT = r"""
# A=in a comment
A=plain
export B='single quotes'
  C="double \"quotes\""
D=
E=unbalanced'quote
F=a # not a comment to Docker, one to a shell
not an assignment
A-B=no name
"""


def test_assignments_are_read_without_their_quotes(tmp_path: Path) -> None:
    path = tmp_path / "bff.env"
    path.write_text(CONTENT)
    assert read_env_file(path) == {
        "A": "plain",
        "B": "single quotes",
        "C": 'double "quotes"',
        "D": "",
        "E": "unbalanced'quote",
        "F": "a",
    }


def test_a_file_that_the_command_will_write_may_be_missing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "bff.env", must_exist=False) == {}


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "does not exist"), (b"\xff", "not UTF-8"), (b"#" * (MAX_BYTES + 1), "is too large")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "bff.env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem) as refused:
        read_env_file(path)
    assert refused.value.setting == str(path)
