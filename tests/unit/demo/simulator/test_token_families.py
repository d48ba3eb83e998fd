"""Rotation families on a clock that the test moves: grace period, reuse, revocation and lifetimes."""

from itertools import count

import pytest

from demo.simulator.grants import Issued, Refusal, Refused, Replay, RotationPolicy, SignIn
from demo.simulator.token_families import TokenFamilies

CLIENT = "0oaclient"
ALICE = SignIn(sub="00ualice", client_id=CLIENT, scope=frozenset({"openid", "email", "offline_access"}))


class Grant:
    """One user's grant; every token that it issues is new."""

    def __init__(self, **policy: object) -> None:
        numbers = count(1)
        self.families = TokenFamilies(
            RotationPolicy(**policy),  # type: ignore[arg-type]
            new_value=lambda kind: f"{kind}{next(numbers)}",
        )
        self.first = self.families.sign_in(ALICE, now=0)

    def send(self, token: str | None, at: float) -> Issued | Refused:
        assert token is not None
        return self.families.refresh(token, client_id=CLIENT, now=at)

    def granted(self, token: str | None, at: float) -> Issued:
        answer = self.send(token, at)
        assert isinstance(answer, Issued)
        return answer

    def refused(self, token: str | None, at: float) -> Refusal:
        answer = self.send(token, at)
        assert isinstance(answer, Refused)
        return answer.reason


def test_a_persistent_token_is_returned_again_and_again() -> None:
    grant = Grant(mode="persistent")
    for at in (10, 20, 3000):
        answer = grant.granted(grant.first.refresh_token, at)
        assert (answer.refresh_token, answer.rotated) == (grant.first.refresh_token, False)
    assert grant.families.alarms == []


def test_a_replay_within_the_grace_returns_the_same_successor() -> None:
    grant = Grant(grace=30)
    first = grant.granted(grant.first.refresh_token, 10)
    assert first.rotated
    assert first.refresh_token not in (None, grant.first.refresh_token)
    again = grant.granted(grant.first.refresh_token, 39.9)
    assert (again.resend, again.refresh_token) == (True, first.refresh_token)
    (family,) = grant.families.families()
    assert (family.rotation_count, family.resends, grant.families.alarms) == (1, 1, [])


@pytest.mark.parametrize(("grace", "replayed_at"), [(30, 40), (30, 40.001), (30, 3600), (0, 10)])
def test_a_replay_after_the_grace_is_reuse_and_revokes_the_family_with_its_access_tokens(
    grace: float, replayed_at: float
) -> None:
    grant = Grant(grace=grace)
    answer = grant.granted(grant.first.refresh_token, 10)
    if grace:
        grant.granted(grant.first.refresh_token, 35)  # does not extend the grace
    assert grant.refused(grant.first.refresh_token, replayed_at) is Refusal.REUSED
    assert [alarm.retired_at for alarm in grant.families.alarms] == [10]
    for token in (answer.access_token, grant.first.access_token):
        assert grant.families.access_token(token, 11) is None
    assert grant.refused(answer.refresh_token, 42) is Refusal.REVOKED
    assert grant.families.families()[0].revoked == "reuse detected"


def test_a_sibling_revokes_the_first_successor_and_its_descendants_without_an_alarm() -> None:
    grant = Grant(replay=Replay.SIBLING)
    first = grant.granted(grant.first.refresh_token, 10)
    second = grant.granted(first.refresh_token, 11)
    sibling = grant.granted(grant.first.refresh_token, 12)
    assert sibling.older_than_previous
    assert sibling.refresh_token not in (first.refresh_token, grant.first.refresh_token)
    assert grant.refused(second.refresh_token, 13) is Refusal.REVOKED
    assert grant.families.alarms == []
    assert grant.granted(sibling.refresh_token, 14).rotated


def test_the_first_use_of_the_successor_closes_the_grace() -> None:
    grant = Grant(replay=Replay.CLOSED_BY_SUCCESSOR, grace=60)
    first = grant.granted(grant.first.refresh_token, 10)
    assert grant.granted(grant.first.refresh_token, 11).refresh_token == first.refresh_token
    grant.granted(first.refresh_token, 12)
    assert grant.refused(grant.first.refresh_token, 13) is Refusal.REUSED


def test_an_old_token_that_is_returned_is_current_again_or_expires_with_its_grace() -> None:
    grant = Grant(replay=Replay.OLD_TOKEN)
    first = grant.granted(grant.first.refresh_token, 10)
    assert grant.granted(grant.first.refresh_token, 11).refresh_token == grant.first.refresh_token
    assert grant.families.families()[0].live_refresh_tokens == 2
    assert grant.granted(grant.first.refresh_token, 3000).rotated
    assert grant.granted(first.refresh_token, 3010).resend
    grant = Grant(replay=Replay.OLD_TOKEN_STALE, grace=30)
    grant.granted(grant.first.refresh_token, 10)
    assert grant.granted(grant.first.refresh_token, 11).refresh_token == grant.first.refresh_token
    assert grant.refused(grant.first.refresh_token, 3000) is Refusal.REUSED


def test_a_token_is_older_than_the_previous_one_once_its_successor_has_been_exchanged() -> None:
    grant = Grant(replay=Replay.OLD_TOKEN)
    first = grant.granted(grant.first.refresh_token, 10)
    grant.granted(grant.first.refresh_token, 11)  # current again
    grant.granted(grant.first.refresh_token, 12)  # its further successor is never used
    unused = grant.granted(first.refresh_token, 13)  # retired at 12, though it had not been sent before
    assert unused.resend
    assert not unused.older_than_previous
    grant = Grant(replay=Replay.OLD_TOKEN)
    first = grant.granted(grant.first.refresh_token, 10)
    grant.granted(first.refresh_token, 11)
    assert not grant.granted(first.refresh_token, 12).older_than_previous  # current again, and exchanged all the same
    assert grant.granted(grant.first.refresh_token, 13).older_than_previous


def test_a_provider_that_only_refuses_reuse_keeps_the_family() -> None:
    grant = Grant(on_reuse="refuse")
    answer = grant.granted(grant.first.refresh_token, 10)
    assert grant.refused(grant.first.refresh_token, 100) is Refusal.REUSED
    assert len(grant.families.alarms) == 1
    assert grant.granted(answer.refresh_token, 101).rotated


@pytest.mark.parametrize("shared", [True, False])
def test_a_family_is_revoked_per_sign_in_or_per_user_and_client(shared: bool) -> None:
    grant = Grant(**({"family_scope": "user_and_client"} if shared else {}))
    phone = grant.families.sign_in(ALICE, now=1)
    grant.granted(grant.first.refresh_token, 10)
    assert grant.refused(grant.first.refresh_token, 100) is Refusal.REUSED
    assert isinstance(grant.send(phone.refresh_token, 101), Refused) is shared


def test_absolute_and_idle_lifetimes() -> None:
    grant = Grant(refresh_token_lifetime=1000)
    latest = grant.granted(grant.first.refresh_token, 990)
    assert grant.refused(latest.refresh_token, 1000) is Refusal.EXPIRED
    grant = Grant(refresh_token_idle=100)
    latest = grant.granted(grant.first.refresh_token, 99)
    latest = grant.granted(latest.refresh_token, 190)
    assert grant.refused(latest.refresh_token, 290) is Refusal.EXPIRED
    assert grant.families.alarms == []


def test_without_a_refresh_token_in_the_answer_the_presented_one_stays_current() -> None:
    grant = Grant(answer_refresh_token=False)
    for at in (10, 1000):
        answer = grant.granted(grant.first.refresh_token, at)
        assert (answer.refresh_token, answer.rotated) == (None, False)
    without_offline_access = SignIn("00u1", CLIENT, scope=frozenset({"openid"}))
    assert TokenFamilies().sign_in(without_offline_access, now=0).refresh_token is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": "0oaother"}, Refusal.MISMATCHED_CLIENT),
        ({"issuer": "http://elsewhere"}, Refusal.MISMATCHED_AUTHORIZATION_SERVER),
        ({"scope": {"openid", "groups"}}, Refusal.SCOPES_DENIED),
    ],
)
def test_a_refusal_consumes_nothing(changes: dict[str, object], reason: Refusal) -> None:
    grant = Grant()
    assert grant.first.refresh_token is not None
    request = {"client_id": CLIENT, "now": 5, **changes}
    refused = grant.families.refresh(grant.first.refresh_token, **request)  # type: ignore[arg-type]
    assert refused == Refused(reason, grant.first.family_id)
    assert grant.refused("never issued", 1) is Refusal.UNKNOWN
    grant.families.unassign(ALICE.sub)
    assert grant.refused(grant.first.refresh_token, 5) is Refusal.USER_NOT_ASSIGNED
    grant.families.assign(ALICE.sub)
    assert grant.granted(grant.first.refresh_token, 6).rotated


def test_revocation() -> None:
    grant = Grant()
    assert grant.first.refresh_token is not None
    assert not grant.families.revoke_refresh_token(grant.first.refresh_token, "0oaother")
    assert not grant.families.revoke_access_token(grant.first.access_token, "0oaother")
    assert grant.families.revoke_access_token(grant.first.access_token, CLIENT)
    assert grant.families.access_token(grant.first.access_token, 1) is None
    latest = grant.granted(grant.first.refresh_token, 1)
    grant.families.revoke_refresh_token(grant.first.refresh_token, CLIENT)  # a rotated one: its successor stays
    latest = grant.granted(latest.refresh_token, 2)
    assert latest.refresh_token is not None
    assert grant.families.revoke_refresh_token(latest.refresh_token, CLIENT)
    assert grant.families.access_token(latest.access_token, 2) is None
    assert grant.refused(latest.refresh_token, 3) is Refusal.REVOKED
    phone = grant.families.sign_in(ALICE, now=4)
    assert grant.families.revoke_user(ALICE.sub) >= 1
    assert grant.refused(phone.refresh_token, 5) is Refusal.REVOKED
    assert grant.families.alarms == []
