"""`apply_token_response`.

Row by row: what an answer makes of a record that others have taken over; and the laws for all answers.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.rotation import SendRefresh
from bff.session.session import ConcurrentSuccessor, EndReason, Session
from bff.session.token_response import Ended, Pending, Renewed, Superseded, apply_token_response
from tests.harness.refresh_records import (
    NOT_ASSIGNED,
    NOW,
    POLICY,
    REFUSED,
    UNKNOWN,
    UNSENT,
    answered,
    decision_on,
    due,
    expired,
    fresh,
    granted,
    renewed,
    reserve,
    sent,
    with_alternate,
    with_attempt,
)

# --- an answer to an attempt that is not the record's any more -------------------------------------------------------


def taken_over(answer: TokenResult | None = None, **tokens: str) -> tuple[Session, Session]:
    """The record, after others took over and (given an answer) were answered, and the first holder's reservation."""
    first = reserve(due())
    record = sent(first, NOW + 10).reserved
    assert record.attempt is not None
    record = replace(record, attempt=replace(record.attempt, attempt_id="theirs"))
    if answer is not None:
        record = renewed(apply_token_response(record, record, answer, NOW + 11, POLICY))
    return record, first


@pytest.mark.parametrize(
    "answer", [REFUSED, NOT_ASSIGNED, Denied(401, "invalid_client"), Postponed(9.0), UNKNOWN, UNSENT]
)
@pytest.mark.parametrize("theirs", [None, granted()], ids=["under way", "renewed"])
def test_only_a_grant_matters_to_others(answer: TokenResult, theirs: Granted | None) -> None:
    record, first = taken_over(theirs)
    assert apply_token_response(record, first, answer, NOW + 20, POLICY) == Superseded()


def test_a_touched_record_is_still_ours() -> None:
    """`version` moves with every write; an answer is placed by its attempt alone."""
    reserved = reserve(due())
    touched = replace(reserved, version=reserved.version + 5, acr="urn:stronger")
    session = renewed(apply_token_response(touched, reserved, granted(), NOW + 1, POLICY))
    assert (session.version, session.acr) == (touched.version + 1, "urn:stronger")


@pytest.mark.case("RF-022")
@pytest.mark.parametrize("given", [None, "", "refresh-3", "refresh-4"])
def test_a_sleeper_that_was_given_nothing_new_changes_nothing(given: str | None) -> None:
    record, first = taken_over(granted("refresh-4"))
    assert apply_token_response(record, first, granted(given), NOW + 20, POLICY) == Superseded()


@pytest.mark.case("RF-022", "RF-023")
def test_a_sleepers_sibling_is_kept_as_the_alternate() -> None:
    for theirs in (None, granted("refresh-4")):
        record, first = taken_over(theirs)
        result = apply_token_response(record, first, granted("refresh-4b"), NOW + 20, POLICY)
        assert isinstance(result, Superseded)
        expected = ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)
        assert result.session == replace(record, version=record.version + 1, concurrent_successor=expected)


def test_a_sibling_of_an_older_rotation_is_of_no_use() -> None:
    record, first = taken_over(granted("refresh-4"))
    later = replace(record, rotation=record.rotation + 1)
    assert apply_token_response(later, first, granted("refresh-4b"), NOW + 20, POLICY) == Superseded()


@pytest.mark.parametrize(("kept", "stays"), [(1, True), (2, True), (0, False)])
def test_of_two_siblings_the_one_of_the_higher_try_is_kept(kept: int, stays: bool) -> None:
    record, first = taken_over(granted("refresh-4"))
    record = with_alternate(record, "refresh-4c", rotation=3, tries=kept)
    result = apply_token_response(record, first, granted("refresh-4b"), NOW + 20, POLICY)
    assert isinstance(result, Superseded)
    assert (result.session is None) is stays


def test_an_alternate_of_an_older_rotation_gives_way() -> None:
    record, first = taken_over(granted("refresh-4"))
    result = apply_token_response(
        with_alternate(record, "refresh-3b", rotation=2, tries=9), first, granted("refresh-4b"), NOW + 20, POLICY
    )
    assert isinstance(result, Superseded)
    assert result.session is not None
    assert result.session.concurrent_successor == ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)


def test_an_alternate_is_kept_through_the_renewal_it_belongs_to_and_dropped_by_the_next() -> None:
    record, first = taken_over()
    result = apply_token_response(record, first, granted("refresh-4b"), NOW + 11, POLICY)
    assert isinstance(result, Superseded)
    assert result.session is not None
    session = renewed(apply_token_response(result.session, record, granted("refresh-4"), NOW + 12, POLICY))
    assert session.tokens.refresh_token == "refresh-4"
    assert session.concurrent_successor == ConcurrentSuccessor("refresh-4b", rotation=3, tries=1)
    reserved = reserve(session, session.tokens.refresh_at)
    session = renewed(
        apply_token_response(reserved, reserved, granted("refresh-5"), session.tokens.refresh_at + 1, POLICY)
    )
    assert session.concurrent_successor is None


def test_a_successor_that_both_were_given_is_no_alternate() -> None:
    record, first = taken_over()
    result = apply_token_response(record, first, granted("refresh-4"), NOW + 11, POLICY)
    assert isinstance(result, Superseded)
    assert result.session is not None
    session = renewed(apply_token_response(result.session, record, granted("refresh-4"), NOW + 12, POLICY))
    assert (session.tokens.refresh_token, session.concurrent_successor) == ("refresh-4", None)


# --- a replay that hands back the old token --------------------------------------------------------------------------


@pytest.mark.case("RF-028")
def test_a_replay_that_goes_backwards_gives_way_to_the_sleepers_successor() -> None:
    record, first = taken_over(granted("refresh-3"))
    result = apply_token_response(record, first, granted("refresh-4"), NOW + 20, POLICY)
    assert isinstance(result, Superseded)
    assert result.session is not None
    assert result.session.tokens == replace(record.tokens, refresh_token="refresh-4")
    assert result.session.concurrent_successor == ConcurrentSuccessor("refresh-3", rotation=3, tries=1)
    assert result.session.version == record.version + 1


@pytest.mark.case("RF-028")
def test_a_replay_that_goes_backwards_finds_the_successor_kept_as_the_alternate() -> None:
    record, first = taken_over()
    kept = apply_token_response(record, first, granted("refresh-4"), NOW + 11, POLICY)
    assert isinstance(kept, Superseded)
    assert kept.session is not None
    session = renewed(apply_token_response(kept.session, record, granted("refresh-3"), NOW + 12, POLICY))
    assert (session.tokens.access_token, session.tokens.refresh_token) == ("access-4", "refresh-4")
    assert session.concurrent_successor == ConcurrentSuccessor("refresh-3", rotation=3, tries=2)


@pytest.mark.case("RF-028")
def test_an_old_token_that_is_handed_back_to_everybody_is_the_token() -> None:
    session = renewed(answered(reserve(with_attempt(due())), granted("refresh-3")))
    assert (session.tokens.refresh_token, session.concurrent_successor) == ("refresh-3", None)


def test_a_grant_to_the_old_token_replaces_the_successor_that_came_home_meanwhile() -> None:
    """The old token was current after all: what the provider gave last is what it will take."""
    reserved = reserve(due())
    record = replace(reserved, version=9, tokens=replace(reserved.tokens, refresh_token="refresh-4"))
    session = renewed(apply_token_response(record, reserved, granted("refresh-5"), NOW + 1, POLICY))
    assert session.tokens.refresh_token == "refresh-5"


# --- whatever the answer ---------------------------------------------------------------------------------------------


def test_an_answer_needs_a_reservation() -> None:
    with pytest.raises(ValueError, match="reservation"):
        apply_token_response(fresh(), fresh(), granted(), NOW, POLICY)


answers = st.one_of(
    st.builds(
        granted,
        st.sampled_from([None, "", "refresh-3", "refresh-4", "refresh-5"]),
        access_token=st.sampled_from([None, "access-4"]),
        expires_in=st.none() | st.integers(0, 10**12),
    ),
    st.builds(
        Denied,
        st.sampled_from([400, 401, 403]),
        st.sampled_from(["invalid_grant", "access_denied", "invalid_client", "unreadable"]),
    ),
    st.builds(Postponed, st.none() | st.floats(0, 86400)),
    st.builds(NoAnswer, st.booleans(), retry_after=st.none() | st.floats(0, 86400)),
)
reservations = st.one_of(
    st.builds(due),
    st.builds(lambda ago: with_attempt(expired(), first_sent_at=NOW - ago), st.floats(0, 500)),
    st.builds(lambda ago: with_alternate(with_attempt(expired(), first_sent_at=NOW - ago)), st.floats(0, 500)),
    st.builds(lambda rotation: with_alternate(due(), rotation=rotation), st.integers(1, 3)),
).map(reserve)


@given(reservations, reservations, answers, st.floats(0, 100), st.floats(0, 60))
def test_whatever_the_answer_the_laws_are_kept(
    reserved: Session, other: Session, answer: TokenResult, after: float, grace: float
) -> None:
    policy = replace(POLICY, grace=grace)
    others = replace(other, attempt=replace(other.attempt, attempt_id="theirs") if other.attempt else None)
    for record in (reserved, replace(others, version=20), replace(others, version=20, attempt=None, rotation=4)):
        ours = record is reserved
        match apply_token_response(record, reserved, answer, NOW + after, policy):
            case Renewed(session):
                assert ours
                assert isinstance(answer, Granted)
                assert session.attempt is None
                assert (session.version, session.rotation) == (record.version + 1, record.rotation + 1)
                assert session.tokens.refresh_token
                assert session.tokens.access_token == answer.tokens.access_token
            case Pending(session, resend):
                assert ours
                assert session.version == record.version + 1
                assert session.tokens.refresh_token  # law 2
                assert session.tokens.access_token == record.tokens.access_token
                assert session.attempt is not None
                assert session.attempt.lease_until == NOW + after
                assert session.attempt.not_before >= NOW + after
                moved = session.tokens.refresh_token != record.tokens.refresh_token
                assert session.rotation == record.rotation + moved
                if resend:
                    again = decision_on(session, NOW + after, policy, resend=True)
                    assert isinstance(again, SendRefresh)
                    assert not again.after_grace
            case Ended(reason):  # law 6
                assert ours
                assert isinstance(answer, Denied)
                assert answer.status == 400
                assert reason is EndReason.REFRESH_TOKEN_INVALID
                assert record.concurrent_successor is None
            case Superseded(session):
                assert not ours
                if session is not None:
                    assert isinstance(answer, Granted)
                    assert session.version == record.version + 1
                    assert session.tokens.access_token == record.tokens.access_token
                    assert answer.tokens.refresh_token in (
                        session.tokens.refresh_token,
                        session.concurrent_successor.refresh_token if session.concurrent_successor else None,
                    )
