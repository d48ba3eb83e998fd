"""`apply_token_response`: responses to an attempt that another holder has taken over."""

from dataclasses import replace
from typing import Any

import pytest

from bff.oidc.token import Granted, Postponed, TokenResult
from bff.session.session import ConcurrentSuccessor, Session
from bff.session.token_response import RefreshResult, Superseded, apply_token_response
from tests.harness.refresh_records import (
    INVALID_CLIENT,
    NOT_ASSIGNED,
    NOW,
    POLICY,
    REFUSED,
    UNKNOWN,
    UNSENT,
    attempt_of,
    due,
    granted,
    renewed,
    reserved,
    respond,
    superseded,
    with_attempt,
    with_successor,
)

FIRST = reserved(due())  # of the holder whose response comes late


def taken_over(answer: TokenResult | None = None) -> Session:
    """The record after another holder took over, and was answered if there is an answer."""
    record = reserved(FIRST, NOW + 10)
    record = replace(record, attempt=replace(attempt_of(record), attempt_id="theirs"))
    return record if answer is None else renewed(respond(record, answer, after=11))


def late(record: Session, answer: TokenResult, after: float = 20) -> RefreshResult:
    return apply_token_response(record, FIRST, answer, NOW + after, POLICY)


@pytest.mark.parametrize("theirs", [None, granted()], ids=["pending", "renewed"])
def test_only_a_grant_matters_after_a_takeover(theirs: Granted | None) -> None:
    for answer in (REFUSED, NOT_ASSIGNED, INVALID_CLIENT, Postponed(9.0), UNKNOWN, UNSENT):
        assert late(taken_over(theirs), answer) == Superseded()


def test_a_record_with_a_newer_version_is_still_ours() -> None:
    touched = replace(FIRST, version=FIRST.version + 5, acr="urn:stronger")
    session = renewed(late(touched, granted()))
    assert (session.version, session.acr) == (touched.version + 1, "urn:stronger")


@pytest.mark.case("RF-022")
@pytest.mark.parametrize("refresh_token", [None, "", "refresh-3", "refresh-4"])
def test_a_late_grant_without_a_new_refresh_token_changes_nothing(refresh_token: str | None) -> None:
    assert late(taken_over(granted("refresh-4")), granted(refresh_token)) == Superseded()


@pytest.mark.case("RF-022", "RF-023")
@pytest.mark.parametrize("theirs", [None, granted("refresh-4")], ids=["pending", "renewed"])
def test_a_late_grant_is_kept_as_the_concurrent_successor(theirs: Granted | None) -> None:
    record = taken_over(theirs)
    expected = ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)
    assert superseded(late(record, granted("refresh-4b"))) == replace(
        record, version=record.version + 1, concurrent_successor=expected
    )


@pytest.mark.parametrize(
    ("rotation", "kept", "replaced"),
    [
        (4, {"tries": 0}, True),
        (4, {"tries": 1}, False),
        (4, {"tries": 2}, False),
        (4, {"tries": 9, "rotation": 2}, True),
        (5, None, False),  # by now another refresh has succeeded
    ],
)
def test_of_two_successors_the_one_of_the_later_try_in_this_rotation_is_kept(
    rotation: int, kept: dict[str, Any] | None, replaced: bool
) -> None:
    record = replace(taken_over(granted("refresh-4")), rotation=rotation)
    if kept is not None:
        record = with_successor(record, "refresh-4c", **{"rotation": 3, **kept})
    result = late(record, granted("refresh-4b"))
    if replaced:
        expected = ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)
        assert superseded(result).concurrent_successor == expected
    else:
        assert result == Superseded()


def test_a_successor_survives_the_refresh_it_belongs_to_and_is_dropped_by_the_next() -> None:
    record = taken_over()
    session = superseded(late(record, granted("refresh-4b"), after=11))
    session = renewed(apply_token_response(session, record, granted("refresh-4"), NOW + 12, POLICY))
    assert session.tokens.refresh_token == "refresh-4"
    assert session.concurrent_successor == ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)
    refreshed = reserved(session, session.tokens.refresh_at)
    session = renewed(respond(refreshed, granted("refresh-5"), session.tokens.refresh_at + 1 - NOW))
    assert session.concurrent_successor is None


@pytest.mark.case("RF-028")
@pytest.mark.parametrize(
    ("ours", "theirs", "successor"),
    [
        ("refresh-4", "refresh-4", None),  # an identical token is not kept: once rejected, it must not be tried again
        ("refresh-4", "refresh-3", ConcurrentSuccessor("refresh-3", rotation=3, tries=2)),
    ],
)
def test_a_replay_that_returns_an_old_token_gives_way_to_the_successor_kept_before(
    ours: str, theirs: str, successor: ConcurrentSuccessor | None
) -> None:
    record = taken_over()
    kept = superseded(late(record, granted(ours), after=11))
    session = renewed(apply_token_response(kept, record, granted(theirs), NOW + 12, POLICY))
    assert (session.tokens.access_token, session.tokens.refresh_token) == ("access-4", "refresh-4")
    assert session.concurrent_successor == successor


@pytest.mark.case("RF-028")
def test_a_replay_that_returned_an_old_token_gives_way_to_a_late_grant() -> None:
    record = taken_over(granted("refresh-3"))
    assert superseded(late(record, granted("refresh-4"))) == replace(
        record,
        version=record.version + 1,
        tokens=replace(record.tokens, refresh_token="refresh-4"),
        concurrent_successor=ConcurrentSuccessor("refresh-3", rotation=3, tries=1),
    )


@pytest.mark.case("RF-028")
def test_an_old_token_that_every_holder_is_given_stays_the_sessions_token() -> None:
    session = renewed(respond(reserved(with_attempt(due())), granted("refresh-3")))
    assert (session.tokens.refresh_token, session.concurrent_successor) == ("refresh-3", None)
