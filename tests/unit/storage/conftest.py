"""A key ring with one fresh key."""

import pytest

from bff.session.keyring import KeyRing, new_key


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing.from_keys([new_key()])
