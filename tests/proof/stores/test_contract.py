"""Every store keeps the contract."""

from tests.proof.stores.contract import SessionStoreContract


class TestContract(SessionStoreContract):
    """Runs once for each kind of store in `conftest.kind`."""
