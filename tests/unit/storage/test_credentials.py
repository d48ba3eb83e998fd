"""Which credentials a new connection presents while they change."""

from bff.config.store_credentials import StoreCredentials
from bff.storage.credentials import REFUSED_FOR, ChangingCredentials

OLD, NEW = StoreCredentials("bff", "old"), StoreCredentials("bff", "new")


def test_the_newest_are_the_first_choice_and_those_before_the_second_for_a_moment() -> None:
    credentials = ChangingCredentials(OLD)
    assert credentials.choose(0.0) == OLD
    credentials.replace(NEW)
    assert credentials.choose(0.0) == credentials.current == NEW
    credentials.refused(NEW, 0.0)
    assert credentials.choose(0.1) == OLD
    assert credentials.choose(REFUSED_FOR) == NEW, "the server may have learnt of them meanwhile"
    credentials.refused(NEW, REFUSED_FOR)
    credentials.refused(OLD, REFUSED_FOR + 1)
    assert credentials.choose(REFUSED_FOR + 2) == NEW, "refused longer ago"


def test_a_refusal_looks_for_others_at_once() -> None:
    source = [OLD]
    credentials = ChangingCredentials(OLD, lambda: credentials.replace(source[0]))
    credentials.refused(OLD, 0.0)
    assert credentials.choose(0.0) == OLD, "there is no other"
    source[0] = NEW
    credentials.refused(OLD, 0.0)
    assert credentials.choose(0.0) == NEW
    credentials.refused(NEW, 0.0)
    assert credentials.choose(0.0) == OLD


def test_the_same_credentials_again_are_no_change() -> None:
    credentials = ChangingCredentials(OLD)
    credentials.replace(NEW)
    credentials.refused(NEW, 0.0)
    credentials.replace(NEW)
    assert credentials.choose(0.0) == OLD


def test_settings_without_them_have_none_that_change() -> None:
    assert ChangingCredentials.of(None) is None
    changing = ChangingCredentials.of(OLD)
    assert changing is not None
    assert changing.current == OLD
