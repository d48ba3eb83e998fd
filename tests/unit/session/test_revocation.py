import pytest

from bff.session.revocation import Revocation, backoff


@pytest.mark.parametrize(
    ("attempts", "retry_after", "seconds"),
    [
        (0, None, 5.0),
        (1, None, 5.0),
        (2, None, 10.0),
        (10, None, 2560.0),
        (11, None, 3600.0),
        (30, None, 3600.0),
        (1, 3.0, 5.0),
        (1, 60.0, 60.0),
        (30, 86400.0, 86400.0),
    ],
)
def test_the_wait_doubles_up_to_an_hour_and_lasts_at_least_as_long_as_retry_after(
    attempts: int, retry_after: float | None, seconds: float
) -> None:
    assert backoff(attempts, retry_after) == seconds


def test_a_revocation_does_not_show_its_token() -> None:
    assert "SECRET" not in repr(Revocation("id", "SECRET", "refresh_token", "https://op", "abcd1234", 0.0))
