"""The key ring: what opens, what does not, and that a removed key is distinguished from garbage."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.session.keyring import USES_LIMIT, KeyExhausted, KeyRing, Opened, Unreadable, key_id, new_key, new_session_id
from tests.harness.minting import other_trailing_bits

OLD, NEW, OTHER = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n", b"\x03" * 31 + b"x"
LIMIT = 1 << 20  # bytes
INVALID = Unreadable("invalid")
RING = KeyRing.from_keys([NEW])


def test_a_sealed_value_opens_for_the_same_purpose_and_context_only() -> None:
    sealed = RING.seal("record", b"secret", b"key-1")
    assert RING.open("record", sealed, b"key-1") == Opened(b"secret", key_is_newest=True)
    assert b"secret" not in sealed
    for purpose, context in (("other", b"key-1"), ("record", b"key-2"), ("record", b"")):
        assert RING.open(purpose, sealed, context) == INVALID


def test_the_format_is_version_key_id_nonce_ciphertext() -> None:
    sealed = RING.seal("record", b"12345")
    assert sealed[0] == 1
    assert sealed[1:5].hex() == key_id(NEW) == RING.key_ids[0]
    assert len(sealed) == 1 + 4 + 12 + 5 + 16


def test_what_other_releases_sealed_and_indexed_is_found() -> None:
    sealed = "AV-Kr8pIHdjPypaiA-xRV3m6E9SLgk22HrU-4KajF-xrljt3hz-L"
    assert RING.open_text("record", sealed, b"context") == Opened(b"secret", key_is_newest=True)
    assert RING.index_hashes("sub", "00u1") == ("umNr0MYttc1jH_2TUjlTQNItl63X71ie-9SdibdKpwk",)
    assert RING.signing_secrets()[0].hex().startswith("a9709e2cd8c66e18")


def test_every_flipped_bit_and_every_truncation_is_noticed() -> None:
    sealed = RING.seal("record", b"secret")
    for bit in range(len(sealed) * 8):
        tampered = bytearray(sealed)
        tampered[bit // 8] ^= 1 << bit % 8
        assert isinstance(RING.open("record", bytes(tampered)), Unreadable)
    for length in range(len(sealed)):
        assert RING.open("record", sealed[:length]) == INVALID


@pytest.mark.case("CK-010")
def test_a_removed_key_is_distinguished_from_garbage_and_from_a_newer_version() -> None:
    sealed = KeyRing.from_keys([OLD]).seal("record", b"")
    assert RING.open("record", sealed) == Unreadable("unknown_key")
    for garbage in (b"", b"\x01" * 32, b"\x00" + sealed[1:], b"\x02" + sealed[1:]):
        assert RING.open("record", garbage) == INVALID


@pytest.mark.case("CK-009")
def test_replicas_one_step_apart_in_a_key_rotation_read_each_other() -> None:
    rings = [KeyRing.from_keys(keys) for keys in ([OLD], [OLD, NEW], [NEW, OLD], [NEW])]
    for behind, ahead in pairwise(rings[:3]):
        for writer, reader in ((behind, ahead), (ahead, behind)):
            assert isinstance(reader.open("record", writer.seal("record", b"x")), Opened)
            assert reader.index_hashes("sub", "u")[0] in writer.index_hashes("sub", "u")
    assert rings[2].open("record", rings[1].seal("record", b"x")) == Opened(b"x", key_is_newest=False)
    # Only the removal of the old key loses what was sealed under it, and so does a skipped step.
    assert rings[3].open("record", rings[1].seal("record", b"x")) == Unreadable("unknown_key")
    assert rings[0].open("record", rings[2].seal("record", b"x")) == Unreadable("unknown_key")


@pytest.mark.case("CK-006", "CK-040")
@pytest.mark.parametrize(
    ("draw", "octets"),
    [(lambda: RING.seal("record", b"the same session")[5:17], 12), (lambda: new_session_id().secret, 32)],
    ids=["nonces", "session ids"],
)
def test_nonces_and_session_ids_are_random_in_every_octet_and_never_repeat(draw: object, octets: int) -> None:
    assert callable(draw)
    values = {draw() for _ in range(20_000)}
    assert len(values) == 20_000
    for position in range(octets):  # each of 256 values is expected 78 times
        assert len({value[position] for value in values}) == 256
    assert {len(value) for value in values} == {octets}


@pytest.mark.case("CK-006")
def test_a_key_stops_sealing_at_its_limit_and_still_opens() -> None:
    assert USES_LIMIT == 2**32  # NIST SP 800-38D section 8.3
    ring = KeyRing.from_keys([OLD], uses_limit=2)
    ring.seal("record", b"1")
    last = ring.seal("record", b"2")
    for _ in range(2):
        with pytest.raises(KeyExhausted):
            ring.seal("record", b"3")
        ring.replace_keys([OLD, NEW])  # reading the same key again does not reset its count
    ring.seal("other", b"")
    assert ring.open("record", last) == Opened(b"2", key_is_newest=True)
    ring.replace_keys([NEW, OLD])
    assert ring.open("record", ring.seal("record", b"3")) == Opened(b"3", key_is_newest=True)


@pytest.mark.parametrize(
    "keys", [[], [b"short"], [NEW, NEW], [NEW + b"x"]], ids=["none", "too short", "twice", "too long"]
)
def test_invalid_keys_are_refused_and_the_present_ones_stay(keys: list[bytes]) -> None:
    with pytest.raises(ValueError):
        KeyRing.from_keys(keys)
    ring = KeyRing.from_keys([OLD])
    with pytest.raises(ValueError):
        ring.replace_keys(keys)
    assert ring.key_ids == (key_id(OLD),)


def test_replaced_keys_take_effect_and_keep_older_values_readable() -> None:
    ring = KeyRing.from_keys([OLD])
    sealed, present = ring.seal("record", b"secret"), ring.present
    assert ring.present is present
    ring.replace_keys([NEW, OLD])
    assert ring.present is not present
    assert ring.open("record", sealed) == Opened(b"secret", key_is_newest=False)
    assert ring.seal("record", b"")[1:5].hex() == key_id(NEW)


def test_index_hashes_are_keyed_newest_first_and_differ_by_purpose_and_value() -> None:
    both = KeyRing.from_keys([NEW, OLD])
    hashes = both.index_hashes("sub", "00u1")
    assert hashes == RING.index_hashes("sub", "00u1") + KeyRing.from_keys([OLD]).index_hashes("sub", "00u1")
    assert set(hashes).isdisjoint(both.index_hashes("sid", "00u1") + both.index_hashes("sub", "00u2"))


def test_signing_secrets_come_oldest_first_differ_by_purpose_and_are_no_keys() -> None:
    (old,), (new,) = KeyRing.from_keys([OLD]).signing_secrets(), RING.signing_secrets()
    assert KeyRing.from_keys([NEW, OLD]).signing_secrets() == (old, new)
    assert {old, new}.isdisjoint({OLD, NEW, *RING.signing_secrets("other")})


def test_a_repr_shows_key_ids_and_nothing_secret() -> None:
    ring = KeyRing.from_keys([NEW, OLD])
    assert repr(ring) == f"KeyRing({key_id(NEW)}, {key_id(OLD)})"
    shown = repr(ring.present) + repr(Opened(b"SECRET", key_is_newest=True))
    assert "SECRET" not in shown
    assert repr(NEW)[2:-1] not in shown
    session_id = new_session_id()
    assert repr(session_id.secret) not in repr(session_id)


def test_too_much_to_seal_is_an_error_and_too_much_to_open_is_invalid() -> None:
    with pytest.raises(ValueError):
        RING.seal("record", b"x" * (LIMIT - 32))
    largest = RING.seal("record", b"x" * (LIMIT - 33))
    assert isinstance(RING.open("record", largest), Opened)
    assert RING.open("record", largest + b"x") == INVALID
    assert RING.open_text("record", "A" * (LIMIT + 1)) == INVALID


def test_a_value_has_one_text() -> None:
    text = RING.seal_text("record", b"secret!!", b"context")  # 41 bytes: the last character has spare bits
    assert RING.open_text("record", text, b"context") == Opened(b"secret!!", key_is_newest=True)
    assert RING.open_text("record", text) == INVALID
    assert RING.open_text("record", RING.seal_text("record", b"")) == Opened(b"", key_is_newest=True)
    for other in (other_trailing_bits(text), text + "=", text + "\n", " " + text, text + "A", text + "é", ""):
        assert RING.open_text("record", other, b"context") == INVALID


@given(st.text(max_size=120) | st.text(alphabet="AQgw_-=+/ ", max_size=120))
def test_no_text_makes_opening_raise(text: str) -> None:
    assert isinstance(RING.open_text("record", text), Unreadable)
    assert isinstance(RING.open("record", text.encode("utf-8", "surrogatepass")), Unreadable)


def test_a_new_key_is_32_random_bytes() -> None:
    assert len(new_key()) == 32
    assert new_key() != new_key()
