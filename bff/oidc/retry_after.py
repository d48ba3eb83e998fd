"""The wait that a provider requests: Retry-After (RFC 9110 section 10.2.3), else Okta's X-Rate-Limit-Reset."""

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Final

MAX_WAIT: Final = 86400.0  # seconds; a longer wait is treated as an error

_HTTP_DATE: Final = re.compile(
    r"[A-Z][a-z]{2}, (0[1-9]|[12][0-9]|3[01]) [A-Z][a-z]{2} [0-9]{4} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-6][0-9] GMT"
)


def retry_after(headers: Mapping[str, str], now: float, *, rate_limited: bool = False) -> float | None:
    """Seconds to wait, None if the response does not say.

    Dates are compared with the response's own Date, so that clock skew has no effect. X-Rate-Limit-Reset is on every
    Okta response and means a wait only on a 429 (`rate_limited`).
    """
    date = http_date(headers.get("date", ""))
    sent_at = now if date is None else date
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,10}", value):
        return min(float(value), MAX_WAIT)
    until = http_date(value)
    if until is not None:
        return _between(sent_at, until)
    reset = headers.get("x-rate-limit-reset", "").strip()
    if rate_limited and re.fullmatch(r"[0-9]{1,12}", reset):
        return _between(sent_at, float(reset) + 1.0)  # one second more, because the reset time is truncated to seconds
    return None


def http_date(value: str) -> float | None:
    """Seconds since the epoch of an IMF-fixdate (RFC 9110 section 5.6.7), None for anything else."""
    parsed = parsedate_tz(value) if _HTTP_DATE.fullmatch(value.strip()) else None
    if parsed is None:
        return None
    try:
        return float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


def _between(start: float, end: float) -> float:
    return min(max(end - start, 0.0), MAX_WAIT)
