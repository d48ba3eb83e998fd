"""Every store keeps the contract."""

import pytest

from tests.proof.stores.contract import SessionStoreContract


@pytest.mark.usefixtures("patience")
class TestContract(SessionStoreContract):
    """Runs once for each kind of store in `conftest.kind`."""
