"""Every interleaving of the refresh, and every mistake it has to catch. See `tests/proof/explorer/`."""

import pytest
from _pytest.mark import ParameterSet

from tests.harness.policy import Policy
from tests.proof.explorer import mutants, provider
from tests.proof.explorer.core import Core, WithResource
from tests.proof.explorer.provider import Behaviour
from tests.proof.explorer.search import Report, explore
from tests.proof.explorer.world import Budget, Setting

CRASH_LOSS = Budget(crashes=1, losses=1, pauses=0, sign_outs=1)
LOSS_PAUSE = Budget(crashes=0, losses=1, pauses=1, sign_outs=1)
CRASH_PAUSE = Budget(crashes=1, losses=0, pauses=1, sign_outs=1)
PAUSE = Budget(crashes=0, losses=0, pauses=1, sign_outs=1)
PAUSE_ONLY = Budget(crashes=0, losses=0, pauses=1, sign_outs=0)
NO_FAULT = Budget(crashes=0, losses=0, pauses=0, sign_outs=1)
ALL_FOUR = Budget(crashes=1, losses=1, pauses=1, sign_outs=1)
REFUSED = Budget(crashes=1, losses=1, pauses=0, sign_outs=1, refusals=1)
REVOKED = Budget(crashes=0, losses=1, pauses=0, sign_outs=1, revocations=1)
THROTTLED = Budget(crashes=0, losses=0, pauses=0, sign_outs=0, throttles=1)
BREAKDOWN = Budget(crashes=0, losses=0, pauses=0, sign_outs=0, breakdowns=1)
BREAKDOWN_LOSS = BREAKDOWN._replace(losses=1, sign_outs=1, throttles=1)
BREAKDOWN_CRASH = Budget(crashes=1, losses=0, pauses=0, sign_outs=0, breakdowns=1)
UNCLEARLY_REVOKED = Budget(crashes=0, losses=1, pauses=0, sign_outs=0, revocations=1)
STRAGGLER = Budget(crashes=1, losses=1, pauses=0, sign_outs=1, stragglers=1)
# No provider we know of: twice it hands back what it refuses the third time. A holder that sleeps through two renewals
# and wakes with the successor then finds the session ended. One fault at a time is survived.
ONE_AT_A_TIME = (provider.OLD_STALE_REFUSES,)
# A request that travels on after its holder saw the connection reset can be overtaken by the next one. Without a grace
# it is then the reuse itself; where the old token is handed back, it takes that very token away.
OVERTAKEN = (provider.NO_GRACE, provider.OLD, provider.OLD_STALE_REFUSES)

# With a crash and a loss these have twice as many states as the others: `make proof`.
WIDE = (provider.OLD_STALE, provider.OLD_STALE_REFUSES)


def policy(behaviour: Behaviour, *, after_grace: bool = True) -> Policy:
    """A second here is several in production; what matters is which moment lies before which."""
    return Policy(
        before_expiry=60, timeout=2, lease=4, grace=behaviour.grace, after_grace=after_grace, confirm_refusal_after=6
    )


def prove(behaviour: Behaviour, budget: Budget, *, replicas: int = 2, after_grace: bool = True) -> Report:
    report = explore(Setting(behaviour, policy(behaviour, after_grace=after_grace), replicas, budget))
    print(f"{behaviour.name}; {faults(budget)}: {report}")
    assert report.violation is None, f"\n{report.violation}"
    return report


def faults(budget: Budget) -> str:
    return ", ".join(name for name, times in budget._asdict().items() if times)


def worlds(*cases: tuple[Behaviour, Budget]) -> list[ParameterSet]:
    return [pytest.param(*case, id=f"{case[0].name}; {faults(case[1])}") for case in cases]


@pytest.mark.parametrize(
    ("behaviour", "budget"),
    worlds(
        *((behaviour, CRASH_LOSS) for behaviour in provider.EVERY if behaviour not in WIDE),
        (provider.NO_GRACE, PAUSE),
        (provider.REFUSES, PAUSE),
        (provider.OLD_STALE_REFUSES, PAUSE_ONLY),
        (provider.SAME, REFUSED._replace(crashes=0)),
        (provider.SAME, REVOKED),
        (provider.SAME, STRAGGLER._replace(crashes=0)),
        (provider.UNCLEAR, BREAKDOWN),
        (provider.UNCLEAR, UNCLEARLY_REVOKED),
        (provider.UNCLEAR_NO_GRACE, CRASH_LOSS),
    ),
)
def test_no_invariant_is_violated(behaviour: Behaviour, budget: Budget) -> None:
    prove(behaviour, budget)


@pytest.mark.parametrize(
    ("behaviour", "budget"),
    [
        *worlds((provider.SAME, NO_FAULT)),
        pytest.param(provider.SAME, PAUSE_ONLY, marks=pytest.mark.long),
        pytest.param(provider.SAME, CRASH_LOSS, marks=pytest.mark.long),
        pytest.param(provider.REFUSES, CRASH_LOSS, marks=pytest.mark.long),
    ],
)
def test_no_invariant_is_violated_where_a_resource_needs_a_token_too(behaviour: Behaviour, budget: Budget) -> None:
    report = explore(Setting(behaviour, policy(behaviour), 2, budget, WithResource()))
    print(f"{behaviour.name}; {faults(budget)}: {report}")
    assert report.violation is None, f"\n{report.violation}"


@pytest.mark.parametrize("sign_outs", [0, pytest.param(1, marks=pytest.mark.long)])
def test_no_invariant_is_violated_by_three_replicas(sign_outs: int) -> None:
    prove(provider.SAME, CRASH_LOSS._replace(sign_outs=sign_outs), replicas=3)


def test_without_late_sends_only_an_unknown_outcome_ends_a_session() -> None:
    prove(provider.SAME, CRASH_LOSS, after_grace=False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("behaviour", "budget"),
    worlds(
        *(
            (behaviour, budget)
            for behaviour in provider.EVERY
            for budget in (LOSS_PAUSE, CRASH_PAUSE, REFUSED, REVOKED)
            if behaviour not in ONE_AT_A_TIME
        ),
        *((behaviour, STRAGGLER) for behaviour in provider.EVERY if behaviour not in OVERTAKEN),
        *((behaviour, CRASH_LOSS) for behaviour in WIDE),
        *((behaviour, PAUSE) for behaviour in (provider.SIBLING, provider.OLD, provider.OLD_STALE_REFUSES)),
        *((provider.UNCLEAR, budget) for budget in (BREAKDOWN_LOSS, BREAKDOWN_CRASH)),
        (provider.PERSISTENT, ALL_FOUR),
        (provider.SAME, ALL_FOUR),
        (provider.NO_GRACE, ALL_FOUR),
        (provider.SHORT, ALL_FOUR),
    ),
)
def test_no_invariant_is_violated_by_more_faults(behaviour: Behaviour, budget: Budget) -> None:
    prove(behaviour, budget)


@pytest.mark.long
def test_no_invariant_is_violated_by_three_replicas_and_a_pause() -> None:
    prove(provider.SAME, LOSS_PAUSE, replicas=3)


def test_no_invariant_is_violated_and_everything_that_the_tables_provide_for_is_reached() -> None:
    """What is never reached was never asked."""
    assert set(prove(provider.SAME, LOSS_PAUSE._replace(sign_outs=0)).facts) >= {
        "renewed",
        "renewed by a replay in the grace",
        "renewed late",
        "resend in grace",
        "quick resend",
        "late send",
        "takeover",
        "not sent",
        "not ours",
        "alternate kept",
        "alternate promoted by decide",
        "alternate promoted by settle",
        "unplaceable revoked",
        "ended",
    }


def test_the_whole_behaviour_of_a_healthy_session_is_small() -> None:
    """Without faults there is one way to go: every renewal succeeds, and no caller waits for the next second."""
    report = explore(Setting(provider.SAME, policy(provider.SAME), budget=Budget(0, 0, 0, 0)))
    assert report.violation is None
    assert set(report.facts) == {"renewed"}
    assert report.slowest == 0


@pytest.mark.parametrize(
    ("mutant", "behaviour", "budget", "invariant"),
    [
        (mutants.MaySendAtEquality, provider.SAME, CRASH_PAUSE, "invariant_5"),
        (mutants.SendsAfterAPause, provider.SAME, LOSS_PAUSE, "invariant_5"),
        (mutants.ForgetsTheGraceAsItSends, provider.SAME, CRASH_PAUSE, "invariant_1"),
        (mutants.TakeoverResetsFirstSentAt, provider.SAME, CRASH_LOSS, "invariant_8"),
        (mutants.TakesAReplayForNew, provider.SAME, CRASH_LOSS, "invariant_8"),
        (mutants.DoesNotCompareAndSet, provider.SAME, CRASH_LOSS, "invariant_3"),
        (mutants.WritesTheSameVersion, provider.SAME, CRASH_LOSS, "invariant_3"),
        (mutants.SendsBeforeItWrites, provider.SAME, CRASH_LOSS, "invariant_5"),
        (mutants.IgnoresTheLease, provider.SAME, CRASH_LOSS, "invariant_5"),
        (mutants.DropsWhatArrivesForADeletedSession, provider.SAME, CRASH_LOSS, "invariant_4"),
        (mutants.RevokesWhatIsNotOurs, provider.SAME, LOSS_PAUSE, "invariant_6"),
        (mutants.ForgetsTheAlternate, provider.SAME, LOSS_PAUSE, "invariant_2"),
        (mutants.DeletesAnyVersion, provider.REFUSES, PAUSE_ONLY, "invariant_6"),
        (mutants.ChecksARefusalWithoutReadingAgain, provider.REFUSES, PAUSE, "invariant_6"),
        (mutants.ChecksTheTokenOfTheRecord, provider.OLD_STALE_REFUSES, PAUSE, "invariant_2"),
        (mutants.DoesNotMarkLate, provider.SAME, CRASH_LOSS, "invariant_1"),
        (mutants.ForgetsAnEarlierUnknown, provider.SAME, REFUSED, "invariant_1"),
        (mutants.TakesTheUnsentForUnknown, provider.NO_GRACE, Budget(0, 0, 0, 1, refusals=1), "invariant_1"),
        (mutants.DropsTheOldRefreshToken, provider.NO_NAME, CRASH_LOSS, "invariant_2"),
        (mutants.NeverGivesTheLeaseUp, provider.SAME, CRASH_LOSS, "invariant_8"),
        (mutants.CountsThrottlingAsFinal, provider.SAME, THROTTLED, "invariant_6"),
        (mutants.NeedsNoProof, provider.UNCLEAR, BREAKDOWN, "invariant_6"),
        (mutants.CountsTheFirstUnclearRefusal, provider.UNCLEAR, BREAKDOWN, "invariant_6"),
        (mutants.EndsAtTheFirstUnknown, provider.SAME, CRASH_LOSS, "invariant_6"),
        pytest.param(mutants.PromotesBlindly, provider.REFUSES, CRASH_PAUSE, "invariant_1", marks=pytest.mark.long),
    ],
)
def test_a_mistake_is_caught(mutant: type[Core], behaviour: Behaviour, budget: Budget, invariant: str) -> None:
    report = explore(Setting(behaviour, policy(behaviour), budget=budget, core=mutant()))
    print(f"{mutant.__name__}: {report.states} states\n{report.violation}")
    assert report.violation is not None, f"{report.states} states, and {mutant.__name__} was not caught"
    story = report.violation.splitlines()
    assert story[0].startswith("  0. t=0 ")
    assert story[-1].startswith(f"  => {invariant}")
