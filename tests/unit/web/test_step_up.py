"""The sign-in URL of an error that a sign-in could resolve."""

import pytest

from bff.errors import ForbiddenByRule, StepUpRequired
from bff.web.step_up import step_up_url


@pytest.mark.parametrize(
    ("error", "url"),
    [
        (StepUpRequired(), "/auth/login?return_to="),
        (StepUpRequired(acr_values=("gold", "phr")), "/auth/login?acr_values=phr&return_to="),
        (StepUpRequired(acr_values=("gold",)), None),
        (StepUpRequired(max_age=0), "/auth/login?max_age=0&return_to="),
        (ForbiddenByRule(("admins",)), None),
        (
            ForbiddenByRule(("strong",), acr_values=("phr", "a b"), max_age=60),
            "/auth/login?acr_values=phr%20a%20b&max_age=60&return_to=",
        ),
        (ForbiddenByRule(("strong",), acr_values=("gold",)), None),
    ],
)
def test_only_what_the_settings_allow_is_offered(error: StepUpRequired | ForbiddenByRule, url: str | None) -> None:
    assert step_up_url(error, ("phr", "a b")) == url
