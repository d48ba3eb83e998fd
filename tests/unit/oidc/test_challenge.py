"""Challenges of an API: step-up authentication (RFC 9470 section 3), or a DPoP nonce (RFC 9449 section 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.challenge import StepUpChallenge, asks_for_nonce, read_step_up

INSUFFICIENT = 'error="insufficient_user_authentication"'


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (f"Bearer {INSUFFICIENT}", StepUpChallenge()),
        (f'Bearer {INSUFFICIENT}, acr_values="myACR"', StepUpChallenge(("myACR",))),
        (f'Bearer {INSUFFICIENT}, max_age="5"', StepUpChallenge((), 5)),
        (f"bearer {INSUFFICIENT},max_age=0", StepUpChallenge((), 0)),
        (
            f'Bearer realm="a, b", error_description="say \\"more\\", acr_values=x", {INSUFFICIENT}, '
            'acr_values="urn:okta:loa:2fa:any phr phr", max_age=60',
            StepUpChallenge(("urn:okta:loa:2fa:any", "phr"), 60),
        ),
        (f'Basic realm="x", Bearer {INSUFFICIENT}, acr_values="a\\b"', StepUpChallenge(("ab",))),
        (f'DPoP algs="ES256", {INSUFFICIENT}, max_age="9"', StepUpChallenge((), 9)),
        (INSUFFICIENT.join(("Bearer ", " ,  acr_values = a")), StepUpChallenge(("a",))),
        (f"Bearer \t{INSUFFICIENT}\t,\tACR_VALUES\t=\ta", StepUpChallenge(("a",))),
        # What cannot be requested is dropped.
        (f'Bearer {INSUFFICIENT}, max_age="-1"', StepUpChallenge()),
        (f'Bearer {INSUFFICIENT}, max_age="999999999"', StepUpChallenge((), 999_999_999)),
        (f'Bearer {INSUFFICIENT}, max_age="1999999999"', StepUpChallenge()),
        (f'Bearer {INSUFFICIENT}, max_age="1e3", acr_values="caf\u00e9 ok {"x" * 256}"', StepUpChallenge(("ok",))),
        (f'Bearer {INSUFFICIENT}, acr_values="{"x" * 255}"', StepUpChallenge(("x" * 255,))),
        (
            f'Bearer {INSUFFICIENT}, acr_values="{" ".join(map(str, range(99)))}"',
            StepUpChallenge(tuple(map(str, range(20)))),
        ),
        ("", None),
        ("Bearer", None),
        ('Bearer error="invalid_token"', None),
        (f"Basic {INSUFFICIENT}", None),
        (f'Bearer error="invalid_token", Basic {INSUFFICIENT}', None),
        (f'Bearer error="invalid_token", {INSUFFICIENT}', None),  # the first of two values
        (INSUFFICIENT, None),
        (f'Bearer realm="{INSUFFICIENT}', None),
        ('Bearer realm="insufficient_user_authentication"', None),
        ('=,=;"\\', None),
    ],
)
def test_a_step_up_challenge_is_recognised_and_read(challenge: str, expected: StepUpChallenge | None) -> None:
    value = challenge.encode("latin-1")
    assert read_step_up([value]) == expected
    assert read_step_up([b"Basic realm=x", value]) == expected


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ([b'DPoP error="use_dpop_nonce", error_description="x"'], True),
        ([b'Bearer realm="a", dpop algs="ES256", error=use_dpop_nonce'], True),
        ([b"Basic", b'DPoP error="use_dpop_nonce"'], True),
        ([b'Bearer error="use_dpop_nonce"'], False),
        ([b'DPoP error="invalid_token", error_description="use_dpop_nonce"'], False),
        ([b'DPoP error="use_dpop_nonce"' + b" " * 4069], True),
        ([b'DPoP error="use_dpop_nonce"' + b" " * 4070], False),
        ([], False),
    ],
)
def test_a_challenge_for_a_nonce_is_recognised(values: list[bytes], asked: bool) -> None:
    assert asks_for_nonce(values) is asked


def test_a_value_over_4096_bytes_is_not_read() -> None:
    value = f'Bearer {INSUFFICIENT}, x="'.ljust(4095, "a").encode() + b'"'
    assert read_step_up([value]) == StepUpChallenge()
    assert read_step_up([value + b" "]) is None
    assert read_step_up([value + b" ", f"Bearer {INSUFFICIENT}".encode()]) == StepUpChallenge()


@given(st.binary(max_size=300))
def test_no_challenge_makes_reading_raise(challenge: bytes) -> None:
    values = [challenge, b"Bearer error=insufficient_user_authentication, " + challenge]
    read_step_up(values)
    asks_for_nonce(values)
