"""Challenges: sealed, timed, and each for one purpose."""

import pytest

from bff.session.device_challenge import MAX_LENGTH, Challenge, open_challenge, seal_challenge
from bff.session.keyring import KeyRing, new_key
from bff.session.session import SessionKey

KEY = SessionKey("k" * 43)
OLD, NEW = new_key(), new_key()
RING = KeyRing.from_keys([OLD])


def test_a_challenge_says_for_which_session_and_when_it_was_issued() -> None:
    text = seal_challenge(RING, "device-refresh", KEY, 1000.4)
    assert open_challenge(RING, "device-refresh", text) == Challenge(KEY, 1000.0)
    assert text != seal_challenge(RING, "device-refresh", KEY, 1000.4)
    assert len(text) < MAX_LENGTH


def test_it_survives_a_new_key_and_not_the_removal_of_its_own() -> None:
    text = seal_challenge(RING, "device-refresh", KEY, 1000.0)
    assert open_challenge(KeyRing.from_keys([NEW, OLD]), "device-refresh", text) is not None
    assert open_challenge(KeyRing.from_keys([NEW]), "device-refresh", text) is None


@pytest.mark.parametrize("text", ["", "x", "A" * (MAX_LENGTH + 1), "é"])
def test_anything_else_is_none(text: str) -> None:
    assert open_challenge(RING, "device-refresh", text) is None


def test_one_for_another_purpose_is_none() -> None:
    text = seal_challenge(RING, "device-registration", KEY, 1000.0)
    assert open_challenge(RING, "device-refresh", text) is None
    assert open_challenge(RING, "device-authorization", text) is None


def test_it_is_valid_for_its_lifetime() -> None:
    challenge = Challenge(KEY, 1000.0)
    assert challenge.is_valid(1059.0, 60)
    assert challenge.is_valid(990.0, 60), "issued by a replica whose clock is ahead"
    assert not challenge.is_valid(1060.0, 60)
