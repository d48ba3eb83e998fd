"""One-time values and revocations: sealed, bound to their names, and no error whatever is found."""

from dataclasses import replace

import pytest

from bff.session.keyring import KeyRing
from bff.session.revocation import Revocation
from bff.session.store import VALUE_LIMIT
from bff.storage import one_time_value, revocation_record
from bff.storage.revocation_record import RevocationRecords

REVOCATION = Revocation("id", "canary", "refresh_token", "https://issuer.example", "session", 5.0, 2)


def test_a_value_opens_under_its_own_name_only(ring: KeyRing) -> None:
    sealed = one_time_value.seal(ring, "name", b"value")
    assert one_time_value.unseal(ring, "name", sealed) == b"value"
    assert one_time_value.unseal(ring, "another", sealed) is None
    assert one_time_value.unseal(ring, "name", b"garbage") is None
    with pytest.raises(ValueError, match="large"):
        one_time_value.seal(ring, "name", b"x" * (VALUE_LIMIT + 1))


def test_a_revocation_is_read_back_under_its_own_id_only(ring: KeyRing) -> None:
    records = RevocationRecords(ring)
    sealed = records.seal(REVOCATION)
    assert b"canary" not in sealed
    assert records.open("id", 5.0, 2, sealed) == REVOCATION
    assert records.open("another", 5.0, 2, sealed) is None
    assert records.open("id", 5.0, 2, records.seal(replace(REVOCATION, hint="access_token"))) is not None


@pytest.mark.parametrize(
    "content", ["[]", "{", "null", "4", '["t", "password", "i", "s"]', '["t", "access_token", 5, "s"]']
)
def test_what_is_no_revocation(ring: KeyRing, content: str) -> None:
    sealed = ring.seal(revocation_record.PURPOSE, content.encode(), b"id")
    assert RevocationRecords(ring).open("id", 5.0, 2, sealed) is None
