"""The challenge of an API that wants another authentication (RFC 9470 section 3), and all that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.challenge import StepUpChallenge, read_step_up

INSUFFICIENT = 'error="insufficient_user_authentication"'


@pytest.mark.parametrize(
    ("said", "asked"),
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
        (f'Basic realm="x", Bearer {INSUFFICIENT}, acr_values="a"', StepUpChallenge(("a",))),
        (f'DPoP algs="ES256", {INSUFFICIENT}, max_age="9"', StepUpChallenge((), 9)),
        (f"Bearer  error = insufficient_user_authentication ,  acr_values = a", StepUpChallenge(("a",))),  # noqa: F541
        # What can't be asked for is not asked for.
        (f'Bearer {INSUFFICIENT}, max_age="-1"', StepUpChallenge()),
        (f'Bearer {INSUFFICIENT}, max_age="1e3", acr_values="caf\u00e9 ok {"x" * 256}"', StepUpChallenge(("ok",))),
        (
            f'Bearer {INSUFFICIENT}, acr_values="{" ".join(map(str, range(99)))}"',
            StepUpChallenge(tuple("0123456789") + tuple(map(str, range(10, 20)))),
        ),
    ],
)
def test_what_is_asked_for_is_read(said: str, asked: StepUpChallenge) -> None:
    assert read_step_up([said.encode("latin-1")]) == asked
    assert read_step_up([b"Basic realm=x", said.encode("latin-1")]) == asked


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Bearer",
        'Bearer error="invalid_token"',
        f"Basic {INSUFFICIENT}",
        f'Bearer error="invalid_token", Basic {INSUFFICIENT}',
        f'Bearer error="invalid_token", {INSUFFICIENT}',  # the first word counts
        INSUFFICIENT,
        f'Bearer realm="{INSUFFICIENT}',
        'Bearer realm="insufficient_user_authentication"',
        '=,=;"\\',
    ],
)
def test_everything_else_is_no_step_up(said: str) -> None:
    assert read_step_up([said.encode("latin-1")]) is None


@given(st.binary(max_size=300))
def test_nothing_that_an_upstream_says_raises(said: bytes) -> None:
    read_step_up([said, b"Bearer error=insufficient_user_authentication, " + said])


def test_a_value_that_is_too_long_is_not_read() -> None:
    padding = 'x="' + "a" * (4096 - len(f'Bearer {INSUFFICIENT}, x=""')) + '"'
    assert read_step_up([f"Bearer {INSUFFICIENT}, {padding}".encode()]) == StepUpChallenge()
    assert read_step_up([f"Bearer {INSUFFICIENT}, {padding} ".encode()]) is None
