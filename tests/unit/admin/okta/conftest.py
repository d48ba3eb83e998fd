from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.harness.okta_org import Operator, empty_org


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with empty_org(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two private keys of a client, in PEM."""
    folder = tmp_path_factory.mktemp("keys")
    paths = folder / "client.pem", folder / "other-client.pem"
    for path in paths:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return paths


@pytest.fixture
def key_file(key_files: tuple[Path, Path]) -> Path:
    return key_files[0]


@pytest.fixture
def other_key_file(key_files: tuple[Path, Path]) -> Path:
    return key_files[1]
