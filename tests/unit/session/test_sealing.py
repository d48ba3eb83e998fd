"""The key ring: what opens, what does not, and that a removed key is never mistaken for garbage."""

import os
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.session import keyring
from bff.session.keyring import (
    KeyExhausted,
    KeyRing,
    Opened,
    Unreadable,
    decode_base64url,
    encode_base64url,
    key_id,
    new_key,
    new_session_id,
)

OLD, NEW, OTHER = b"\x01" * 31 + b"o", b"\x02" * 31 + b"n", b"\x03" * 31 + b"x"


def test_what_is_sealed_opens_again_for_the_same_purpose_and_context() -> None:
    ring = KeyRing.from_keys([NEW])
    sealed = ring.seal("record", b"secret", b"key-1")
    assert ring.open("record", sealed, b"key-1") == Opened(b"secret", key_is_newest=True)
    assert b"secret" not in sealed


def test_the_wire_form_is_version_key_id_nonce_ciphertext() -> None:
    sealed = KeyRing.from_keys([NEW]).seal("record", b"12345")
    assert sealed[0] == 1
    assert sealed[1:5].hex() == key_id(NEW) == KeyRing.from_keys([NEW]).key_ids[0]
    assert len(sealed) == 1 + 4 + 12 + 5 + 16


@pytest.mark.parametrize(("purpose", "context"), [("other", b"key-1"), ("record", b"key-2"), ("record", b"")])
def test_another_purpose_or_context_opens_nothing(purpose: str, context: bytes) -> None:
    ring = KeyRing.from_keys([NEW])
    assert ring.open(purpose, ring.seal("record", b"secret", b"key-1"), context) == Unreadable("invalid")


def test_every_flipped_bit_is_noticed() -> None:
    ring = KeyRing.from_keys([NEW])
    sealed = ring.seal("record", b"secret")
    for position in range(len(sealed) * 8):
        tampered = bytearray(sealed)
        tampered[position // 8] ^= 1 << position % 8
        assert isinstance(ring.open("record", bytes(tampered)), Unreadable)
    for length in range(len(sealed)):
        assert ring.open("record", sealed[:length]) == Unreadable("invalid")


def test_a_removed_key_is_told_apart_from_garbage() -> None:
    sealed = KeyRing.from_keys([OLD]).seal("record", b"secret")
    ring = KeyRing.from_keys([NEW])
    assert ring.open("record", sealed) == Unreadable("unknown_key")
    assert ring.open("record", os.urandom(1) * 3) == Unreadable("invalid")
    assert ring.open("record", b"\x00" + sealed[1:]) == Unreadable("invalid")


def test_an_older_key_opens_and_asks_to_be_sealed_again() -> None:
    sealed = KeyRing.from_keys([OLD]).seal("record", b"secret")
    assert KeyRing.from_keys([NEW, OLD]).open("record", sealed) == Opened(b"secret", key_is_newest=False)


@pytest.mark.parametrize("case", ["CK-009"])
def test_replicas_one_step_apart_in_a_roll_read_each_other(case: str) -> None:
    steps = [[OLD], [OLD, NEW], [NEW, OLD], [NEW]]
    rings = [KeyRing.from_keys(keys) for keys in steps]
    for behind, ahead in pairwise(rings[:3]):
        for writer, reader in ((behind, ahead), (ahead, behind)):
            assert isinstance(reader.open("record", writer.seal("record", b"x")), Opened)
            assert reader.index_hashes("sub", "u")[0] in writer.index_hashes("sub", "u")
            assert writer.index_hashes("sub", "u")[0] in reader.index_hashes("sub", "u")
    # Taking the old key away is the one step that loses what was sealed under it, and it says so.
    assert rings[3].open("record", rings[1].seal("record", b"x")) == Unreadable("unknown_key")
    # The order matters: a replica that was never given the new key can't read what one that skipped a step wrote.
    assert rings[0].open("record", rings[2].seal("record", b"x")) == Unreadable("unknown_key")


@pytest.mark.parametrize("case", ["CK-010"])
def test_a_version_from_the_future_is_no_value_and_no_crash(case: str) -> None:
    ring = KeyRing.from_keys([NEW])
    sealed = ring.seal("record", b"secret")
    assert ring.open("record", b"\x02" + sealed[1:]) == Unreadable("invalid")


@pytest.mark.parametrize("case", ["CK-006"])
def test_no_nonce_comes_twice(case: str) -> None:
    ring = KeyRing.from_keys([NEW, OLD])
    nonces = {ring.seal("record", b"the same session")[5:17] for _ in range(100_000)}
    assert len(nonces) == 100_000


@pytest.mark.parametrize("case", ["CK-006"])
def test_a_key_stops_sealing_at_its_limit_and_goes_on_opening(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keyring.USES_LIMIT == 2**32
    monkeypatch.setattr(keyring, "USES_LIMIT", 2)
    ring = KeyRing.from_keys([OLD])
    ring.seal("record", b"1")
    last = ring.seal("record", b"2")
    with pytest.raises(KeyExhausted):
        ring.seal("record", b"3")
    assert ring.open("record", last) == Opened(b"2", key_is_newest=True)
    ring.replace_keys([OLD, NEW])
    with pytest.raises(KeyExhausted):  # reading a list again wipes no count
        ring.seal("record", b"3")
    ring.replace_keys([NEW, OLD])
    assert ring.open("record", ring.seal("record", b"3")) == Opened(b"3", key_is_newest=True)


@pytest.mark.parametrize("case", ["CK-040"])
def test_session_ids_are_256_bits_without_pattern_or_repeat(case: str) -> None:
    total = 1_000_000
    ids = [new_session_id().secret for _ in range(total)]
    assert {len(each) for each in ids} == {32}
    assert len(set(ids)) == total
    counts = Counter(b"".join(ids))
    expected = total * 32 / 256
    chi_square = sum((counts[byte] - expected) ** 2 / expected for byte in range(256))
    # 255 degrees of freedom: mean 255, deviation 22.6. Nine deviations don't happen by chance.
    assert 60 < chi_square < 460


@pytest.mark.parametrize(
    "keys", [[], [b"short"], [NEW, NEW], [NEW + b"x"]], ids=["none", "too short", "twice", "too long"]
)
def test_a_ring_of_wrong_keys_is_refused_and_the_old_ring_stays(keys: list[bytes]) -> None:
    with pytest.raises(ValueError):
        KeyRing.from_keys(keys)
    ring = KeyRing.from_keys([OLD])
    with pytest.raises(ValueError):
        ring.replace_keys(keys)
    assert ring.key_ids == (key_id(OLD),)


def test_the_ring_takes_over_new_keys_without_losing_old_values() -> None:
    ring = KeyRing.from_keys([OLD])
    sealed = ring.seal("record", b"secret")
    ring.replace_keys([NEW, OLD])
    assert ring.open("record", sealed) == Opened(b"secret", key_is_newest=False)
    assert ring.seal("record", b"")[1:5].hex() == key_id(NEW)


def test_index_hashes_are_keyed_newest_first_and_differ_by_purpose() -> None:
    ring = KeyRing.from_keys([NEW, OLD])
    hashes = ring.index_hashes("sub", "00u1")
    assert hashes == KeyRing.from_keys([NEW]).index_hashes("sub", "00u1") + KeyRing.from_keys([OLD]).index_hashes(
        "sub", "00u1"
    )
    assert set(hashes).isdisjoint(ring.index_hashes("sid", "00u1"))
    assert set(hashes).isdisjoint(ring.index_hashes("sub", "00u2"))


def test_signing_secrets_come_oldest_first_and_are_no_keys() -> None:
    ring = KeyRing.from_keys([NEW, OLD])
    (old,), (new,) = KeyRing.from_keys([OLD]).signing_secrets(), KeyRing.from_keys([NEW]).signing_secrets()
    assert ring.signing_secrets() == (old, new)
    assert {old, new}.isdisjoint({OLD, NEW})


def test_nothing_secret_is_in_a_repr() -> None:
    ring = KeyRing.from_keys([NEW, OLD])
    shown = repr(ring) + repr(ring._keys) + repr(Opened(b"secret", key_is_newest=True)) + repr(new_session_id())
    assert "secret" not in shown.replace("secret=", "")
    assert repr(NEW)[2:-1] not in shown
    assert NEW.hex() not in shown


def test_too_much_to_seal_is_an_error_and_too_much_to_open_is_invalid() -> None:
    ring = KeyRing.from_keys([NEW])
    with pytest.raises(ValueError):
        ring.seal("record", b"x" * keyring.SEALED_LIMIT)
    largest = ring.seal("record", b"x" * (keyring.SEALED_LIMIT - 33))
    assert isinstance(ring.open("record", largest), Opened)
    assert ring.open("record", largest + b"x") == Unreadable("invalid")
    assert ring.open_text("record", "A" * (keyring.SEALED_LIMIT + 1)) == Unreadable("invalid")


def test_one_value_has_one_text() -> None:
    ring = KeyRing.from_keys([NEW])
    text = ring.seal_text("record", b"secret!!")  # 41 bytes: the last character carries spare bits
    assert ring.open_text("record", text) == Opened(b"secret!!", key_is_newest=True)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]
    others = [sibling, text + "=", text + "\n", " " + text, text[:5] + "!" + text[5:], text + "A", text + "é", ""]
    for other in others:
        assert ring.open_text("record", other) == Unreadable("invalid")


@given(st.binary(max_size=80))
def test_base64url_is_written_and_read_one_way(data: bytes) -> None:
    assert decode_base64url(encode_base64url(data)) == (data or None)


@given(st.text(max_size=120) | st.text(alphabet="AQgw_-=+/ ", max_size=120))
def test_no_text_makes_opening_raise(text: str) -> None:
    ring = KeyRing.from_keys([NEW])
    assert isinstance(ring.open_text("record", text), Unreadable)
    assert isinstance(ring.open("record", text.encode("utf-8", "surrogatepass")), Unreadable)
    decoded = decode_base64url(text)
    assert decoded is None or encode_base64url(decoded) == text


def test_a_new_key_is_32_random_bytes() -> None:
    assert len(new_key()) == 32
    assert new_key() != new_key()
