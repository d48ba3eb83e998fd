"""The options of a link to `/auth/login`: only what the operator allows reaches the provider."""

import pytest

from bff.errors import InvalidRequest
from bff.oidc.authorization import SignInOptions
from bff.web.auth.login_hint import LIMIT
from bff.web.auth.sign_in_options import options_from


def options(**parameters: str) -> SignInOptions:
    return options_from(
        parameters, allowed_prompts=("login", "none"), acr_values=("gold", "silver"), allowed_idps=("idp1", "idp2")
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, SignInOptions()),
        ({"prompt": " login "}, SignInOptions(prompt="login")),
        ({"prompt": "login login"}, SignInOptions(prompt="login")),
        ({"prompt": "none", "max_age": "1"}, SignInOptions(prompt="none", max_age=1)),
        ({"max_age": "0"}, SignInOptions(max_age=0)),
        ({"max_age": "9" * 9}, SignInOptions(max_age=999_999_999)),
        ({"acr_values": "silver gold silver"}, SignInOptions(acr_values=("silver", "gold"))),
        ({"idp": "idp2"}, SignInOptions(idp="idp2")),
        ({"login_hint": "a" * LIMIT}, SignInOptions(login_hint="a" * LIMIT)),
        ({"login_hint": "a" * (LIMIT + 1)}, SignInOptions()),
        ({"login_hint": "a\nb"}, SignInOptions()),
        ({"login_hint": ""}, SignInOptions()),
    ],
)
def test_options_that_are_allowed(parameters: dict[str, str], expected: SignInOptions) -> None:
    assert options(**parameters) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"prompt": "consent"},
        {"prompt": "none login"},
        {"prompt": "none", "max_age": "0"},
        {"acr_values": "gold platinum"},
        {"idp": "idp3"},
        {"idp": "idp1 idp2"},
        *({"max_age": value} for value in ("", "-1", "1.5", "9" * 10, "\u0663", " 1")),
    ],
)
def test_options_that_nobody_may_ask_for(parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        options(**parameters)
