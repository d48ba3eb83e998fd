from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.admin.okta.org import Operator, empty_org


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with empty_org(tmp_path) as found:
        yield found


def _write_key(path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return _write_key(tmp_path / "client.pem")


@pytest.fixture
def other_key_file(tmp_path: Path) -> Path:
    return _write_key(tmp_path / "other-client.pem")
