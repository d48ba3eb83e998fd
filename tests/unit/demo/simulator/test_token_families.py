"""The families' state machine, row by row, on a clock that the test moves by hand."""

from itertools import count

import pytest

from demo.simulator.grants import Issued, Refusal, Refused, Replay, RotationPolicy, SignIn
from demo.simulator.token_families import TokenFamilies

CLIENT = "0oaclient"
ALICE = SignIn(sub="00ualice", client_id=CLIENT, scope=frozenset({"openid", "email", "offline_access"}))


class Household:
    """One person's grant, driven by hand: `t` names tokens in the order they were handed out."""

    def __init__(self, **policy: object) -> None:
        numbers = count(1)
        self.families = TokenFamilies(
            RotationPolicy(**policy),  # type: ignore[arg-type]
            new_value=lambda kind: f"{kind}{next(numbers)}",
        )
        self.first = self.families.sign_in(ALICE, now=0)

    def send(self, token: str | None, at: float, **kwargs: object) -> Issued | Refused:
        assert token is not None
        return self.families.refresh(token, client_id=CLIENT, now=at, **kwargs)  # type: ignore[arg-type]

    def granted(self, token: str | None, at: float) -> Issued:
        answer = self.send(token, at)
        assert isinstance(answer, Issued)
        return answer

    def refused(self, token: str | None, at: float) -> Refusal:
        answer = self.send(token, at)
        assert isinstance(answer, Refused)
        return answer.reason


def test_a_persistent_token_is_handed_back_and_works_again_and_again() -> None:
    house = Household(mode="persistent")
    for at in (10, 20, 3000):
        answer = house.granted(house.first.refresh_token, at)
        assert answer.refresh_token == house.first.refresh_token
        assert not answer.rotated
    assert house.families.alarms == []


def test_rotation_hands_out_a_successor_and_a_new_access_token() -> None:
    house = Household()
    answer = house.granted(house.first.refresh_token, 10)
    assert answer.rotated
    assert answer.refresh_token not in (None, house.first.refresh_token)
    assert answer.access_token != house.first.access_token
    assert house.families.families()[0].rotation_count == 1


def test_a_replay_inside_the_grace_answers_the_same_successor() -> None:
    house = Household(grace=30)
    first = house.granted(house.first.refresh_token, 10)
    again = house.granted(house.first.refresh_token, 39.9)
    assert again.resend
    assert again.refresh_token == first.refresh_token
    assert house.families.families()[0].resends == 1
    assert house.families.alarms == []


@pytest.mark.parametrize("late_by", [0, 0.001, 3600])
def test_a_replay_when_the_grace_is_over_is_reuse_and_takes_the_family_and_its_access_tokens(late_by: float) -> None:
    house = Household(grace=30)
    answer = house.granted(house.first.refresh_token, 10)
    assert house.families.access_token(answer.access_token, 41) is not None
    assert house.refused(house.first.refresh_token, 40 + late_by) is Refusal.REUSED
    assert [alarm.retired_at for alarm in house.families.alarms] == [10]
    assert house.families.access_token(answer.access_token, 41) is None
    assert house.families.access_token(house.first.access_token, 41) is None
    assert house.refused(answer.refresh_token, 42) is Refusal.REVOKED
    assert house.families.families()[0].revoked == "reuse detected"


def test_the_grace_starts_at_the_first_exchange_and_a_replay_does_not_prolong_it() -> None:
    house = Household(grace=30)
    house.granted(house.first.refresh_token, 10)
    house.granted(house.first.refresh_token, 35)
    assert house.refused(house.first.refresh_token, 45) is Refusal.REUSED


def test_with_grace_zero_the_first_replay_is_reuse() -> None:
    house = Household(grace=0)
    house.granted(house.first.refresh_token, 10)
    assert house.refused(house.first.refresh_token, 10) is Refusal.REUSED


def test_a_sibling_revokes_the_first_successor_which_is_then_refused_without_an_alarm() -> None:
    house = Household(replay=Replay.SIBLING)
    first = house.granted(house.first.refresh_token, 10)
    sibling = house.granted(house.first.refresh_token, 11)
    assert sibling.refresh_token not in (first.refresh_token, house.first.refresh_token)
    assert house.refused(first.refresh_token, 12) is Refusal.REVOKED
    assert house.families.alarms == []
    assert house.granted(sibling.refresh_token, 13).rotated


def test_a_sibling_revokes_what_descended_from_the_first_successor() -> None:
    house = Household(replay=Replay.SIBLING)
    first = house.granted(house.first.refresh_token, 10)
    second = house.granted(first.refresh_token, 11)
    sibling = house.granted(house.first.refresh_token, 12)
    assert sibling.older_than_previous
    assert house.refused(second.refresh_token, 13) is Refusal.REVOKED
    assert house.granted(sibling.refresh_token, 14).rotated


def test_the_first_use_of_the_successor_closes_the_grace() -> None:
    house = Household(replay=Replay.CLOSED_BY_SUCCESSOR, grace=60)
    first = house.granted(house.first.refresh_token, 10)
    assert house.granted(house.first.refresh_token, 11).refresh_token == first.refresh_token
    house.granted(first.refresh_token, 12)
    assert house.refused(house.first.refresh_token, 13) is Refusal.REUSED


def test_a_token_older_than_the_previous_one_is_told_apart() -> None:
    house = Household(grace=60)
    first = house.granted(house.first.refresh_token, 10)
    assert not house.granted(house.first.refresh_token, 11).older_than_previous
    house.granted(first.refresh_token, 12)
    assert house.granted(house.first.refresh_token, 13).older_than_previous


def test_the_old_token_handed_back_is_current_again_and_so_is_its_successor() -> None:
    house = Household(replay=Replay.OLD_TOKEN)
    first = house.granted(house.first.refresh_token, 10)
    assert house.granted(house.first.refresh_token, 11).refresh_token == house.first.refresh_token
    assert house.families.families()[0].live_refresh_tokens == 2
    latest = house.granted(house.first.refresh_token, 3000)
    assert latest.rotated
    assert house.granted(first.refresh_token, 3010).resend, "the twin was rotated away with it, and has a grace"


def test_a_stale_old_token_is_handed_back_and_still_dies_with_its_grace() -> None:
    house = Household(replay=Replay.OLD_TOKEN_STALE, grace=30)
    house.granted(house.first.refresh_token, 10)
    assert house.granted(house.first.refresh_token, 11).refresh_token == house.first.refresh_token
    assert house.refused(house.first.refresh_token, 3000) is Refusal.REUSED


def test_a_provider_that_only_refuses_reuse_keeps_the_family() -> None:
    house = Household(on_reuse="refuse")
    answer = house.granted(house.first.refresh_token, 10)
    assert house.refused(house.first.refresh_token, 100) is Refusal.REUSED
    assert len(house.families.alarms) == 1
    assert house.granted(answer.refresh_token, 101).rotated


def test_a_family_shared_per_user_and_client_falls_together() -> None:
    house = Household(family_scope="user_and_client")
    laptop = house.first
    phone = house.families.sign_in(ALICE, now=1)
    assert phone.family_id == laptop.family_id
    house.granted(laptop.refresh_token, 10)
    assert house.refused(laptop.refresh_token, 100) is Refusal.REUSED
    assert house.refused(phone.refresh_token, 101) is Refusal.REVOKED


def test_a_family_per_sign_in_falls_alone() -> None:
    house = Household()
    phone = house.families.sign_in(ALICE, now=1)
    house.granted(house.first.refresh_token, 10)
    assert house.refused(house.first.refresh_token, 100) is Refusal.REUSED
    assert house.granted(phone.refresh_token, 101).rotated


def test_the_absolute_lifetime_is_inherited_from_the_first_token() -> None:
    house = Household(refresh_token_lifetime=1000)
    latest = house.granted(house.first.refresh_token, 990)
    assert house.refused(latest.refresh_token, 1000) is Refusal.EXPIRED
    assert house.families.alarms == []


def test_the_idle_limit_starts_anew_with_each_refresh() -> None:
    house = Household(refresh_token_idle=100)
    latest = house.granted(house.first.refresh_token, 99)
    assert house.granted(latest.refresh_token, 190).rotated
    house = Household(refresh_token_idle=100)
    assert house.refused(house.first.refresh_token, 100) is Refusal.EXPIRED


def test_an_answer_without_a_refresh_token_leaves_the_presented_one_current() -> None:
    house = Household(answer_refresh_token=False)
    assert house.first.refresh_token is not None
    for at in (10, 1000):
        answer = house.granted(house.first.refresh_token, at)
        assert answer.refresh_token is None
        assert not answer.rotated


def test_an_answer_may_come_without_an_id_token() -> None:
    assert not Household(answer_id_token=False).first.id_token
    assert Household().first.id_token


def test_without_offline_access_there_is_no_refresh_token() -> None:
    families = TokenFamilies()
    assert families.sign_in(SignIn("00u1", CLIENT, scope=frozenset({"openid"})), now=0).refresh_token is None


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"client_id": "0oaother"}, Refusal.MISMATCHED_CLIENT),
        ({"issuer": "http://elsewhere"}, Refusal.MISMATCHED_AUTHORIZATION_SERVER),
        ({"scope": {"openid", "groups"}}, Refusal.SCOPES_DENIED),
    ],
)
def test_what_was_not_granted_is_refused_and_consumes_nothing(kwargs: dict[str, object], reason: Refusal) -> None:
    house = Household()
    assert house.first.refresh_token is not None
    asked = {"client_id": CLIENT, "now": 5, **kwargs}
    assert house.families.refresh(house.first.refresh_token, **asked) == Refused(reason, house.first.family_id)  # type: ignore[arg-type]
    assert house.granted(house.first.refresh_token, 6).rotated


def test_an_unknown_token_is_refused() -> None:
    assert Household().refused("never issued", 1) is Refusal.UNKNOWN


def test_an_unassigned_person_is_refused_until_assigned_again() -> None:
    house = Household()
    house.families.unassign(ALICE.sub)
    assert house.refused(house.first.refresh_token, 1) is Refusal.USER_NOT_ASSIGNED
    house.families.assign(ALICE.sub)
    assert house.granted(house.first.refresh_token, 2).rotated


def test_revoking_the_current_token_takes_the_access_tokens_along() -> None:
    house = Household()
    assert house.first.refresh_token is not None
    assert house.families.revoke_refresh_token(house.first.refresh_token, CLIENT)
    assert house.families.access_token(house.first.access_token, 1) is None
    assert house.refused(house.first.refresh_token, 1) is Refusal.REVOKED


def test_revoking_a_rotated_token_leaves_its_successor_alive_and_visible() -> None:
    house = Household()
    assert house.first.refresh_token is not None
    latest = house.granted(house.first.refresh_token, 1)
    house.families.revoke_refresh_token(house.first.refresh_token, CLIENT)
    assert house.families.families()[0].live_refresh_tokens == 1
    assert house.granted(latest.refresh_token, 2).rotated


def test_revoking_an_access_token_leaves_the_refresh_token() -> None:
    house = Household()
    assert house.families.revoke_access_token(house.first.access_token, CLIENT)
    assert house.families.access_token(house.first.access_token, 1) is None
    assert house.granted(house.first.refresh_token, 1).rotated


def test_another_client_cannot_revoke() -> None:
    house = Household()
    assert house.first.refresh_token is not None
    assert not house.families.revoke_refresh_token(house.first.refresh_token, "0oaother")
    assert not house.families.revoke_access_token(house.first.access_token, "0oaother")
    assert house.granted(house.first.refresh_token, 1).rotated


def test_an_administrator_revokes_every_token_of_a_person_without_an_alarm() -> None:
    house = Household()
    phone = house.families.sign_in(ALICE, now=1)
    assert house.families.revoke_user(ALICE.sub) == 2
    assert house.refused(house.first.refresh_token, 2) is Refusal.REVOKED
    assert house.refused(phone.refresh_token, 2) is Refusal.REVOKED
    assert house.families.alarms == []


def test_no_answer_and_no_view_shows_a_token_in_its_repr() -> None:
    house = Household()
    token = house.first.refresh_token
    assert token is not None
    secret_house = TokenFamilies()
    issued = secret_house.sign_in(ALICE, now=0)
    assert issued.refresh_token is not None
    assert issued.refresh_token not in repr(issued) + repr(secret_house.families()) + repr(secret_house.alarms)
