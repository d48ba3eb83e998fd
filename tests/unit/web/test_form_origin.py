"""Which forms are of this origin: the two signals of the browser must both be there, once, and agree."""

import pytest

from bff.errors import CsrfRequired
from bff.web.origin_policy import OriginPolicy

ORIGIN = "https://app.example"
POLICY = OriginPolicy(ORIGIN, ["https://other.example"])
OWN = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "origin": ORIGIN}


def headers(fields: dict[str, str | None]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]


def test_a_form_of_this_origin_is_accepted() -> None:
    POLICY.check_form(headers(OWN))


@pytest.mark.parametrize(
    "change",
    [
        {"sec-fetch-site": None},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-mode": None},
        {"sec-fetch-mode": "cors"},
        {"origin": None},
        {"origin": "null"},
        {"origin": "https://other.example"},
        {"origin": "http://app.example"},
        {"origin": "https://app.example.evil"},
    ],
    ids=str,
)
def test_any_other_form_is_refused_even_of_an_allowed_origin(change: dict[str, str | None]) -> None:
    with pytest.raises(CsrfRequired):
        POLICY.check_form(headers({**OWN, **change}))


@pytest.mark.parametrize("name", OWN)
def test_a_form_with_a_signal_twice_is_refused(name: str) -> None:
    with pytest.raises(CsrfRequired):
        POLICY.check_form([*headers(OWN), (name.encode(), OWN[name].encode())])


def test_an_address_that_was_opened_directly_is_not_called_another_site() -> None:
    with pytest.raises(CsrfRequired, match="opened directly"):
        POLICY.check_csrf("GET", headers({"sec-fetch-site": "none"}))
