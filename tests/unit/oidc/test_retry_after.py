"""The wait that a provider asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.retry_after import http_date, retry_after

NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
RESET = str(int(NOW) + 20)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        *[("5", "", 5.0), (" 5 ", "", 5.0), ("0", "", 0.0), ("9999999999", "", 86400.0)],
        ("Mon, 21 Sep 2026 14:14:20 GMT", "", 60.0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", "Mon, 21 Sep 2026 14:14:10 GMT", 10.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", "", 0.0),
        ("Mon, 21 Sep 2036 14:00:00 GMT", "", 86400.0),
        *[(invalid, "", None) for invalid in ("99999999999", "soon", "-5", "1.5", "1e9", "٣", "")],
        ("Mon, 99 Sep 2026 14:00:00 GMT", "", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, date: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value, "date": date}, NOW) == seconds
    assert retry_after({"retry-after": value, "date": date}, NOW, rate_limited=True) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-rate-limit-reset": f" {RESET} "}, 21.0),
        ({"x-rate-limit-reset": RESET, "date": "Mon, 21 Sep 2026 14:13:30 GMT"}, 11.0),
        ({"x-rate-limit-reset": RESET, "date": "yesterday"}, 21.0),
        ({"x-rate-limit-reset": RESET, "retry-after": "5"}, 5.0),
        ({"x-rate-limit-reset": RESET, "retry-after": "garbage"}, 21.0),
        ({"x-rate-limit-reset": str(int(NOW) - 20)}, 0.0),
        ({"x-rate-limit-reset": "9" * 12}, 86400.0),
        ({"x-rate-limit-reset": "9" * 13}, None),
        ({"x-rate-limit-reset": "never"}, None),
    ],
    ids=repr,
)
def test_a_429_may_carry_the_reset_time_instead(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW, rate_limited=True) == seconds


def test_the_rate_limit_header_of_other_responses_asks_for_no_wait() -> None:
    assert retry_after({"x-rate-limit-reset": RESET}, NOW) is None
    assert retry_after({"x-rate-limit-reset": RESET, "retry-after": "7"}, NOW) == 7.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Mon, 21 Sep 2026 14:13:20 GMT", NOW),
        (" Mon, 21 Sep 2026 14:13:20 GMT ", NOW),
        ("Mon, 21 Sep 2026 14:13:60 GMT", NOW + 40),
        ("Mon, 21 Sep 2026 14:13:20 CET", None),
        ("Mon, 21 Sep 2026 25:13:20 GMT", None),
        ("Mon, 21 Sep 2026 14:13 GMT", None),
        ("Mon, 21 Xyz 2026 14:13:20 GMT", None),
        ("", None),
    ],
)
def test_only_an_imf_fixdate_is_a_date(text: str, seconds: float | None) -> None:
    assert http_date(text) == seconds


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_header_makes_it_raise(value: str, date: str) -> None:
    seconds = retry_after({"retry-after": value, "date": date}, NOW)
    assert seconds is None or 0 <= seconds <= 86400
