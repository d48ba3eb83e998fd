"""The small world: replicas that run the refresh step by step, requests on their way, a store, a clock, and faults."""

from enum import StrEnum
from typing import Any, NamedTuple

from bff.oidc.token import Granted, TokenResult
from bff.session.session import EndReason, Session, SessionKey, Tokens, User
from bff.session.token_response import RefreshResult
from tests.harness.policy import Policy
from tests.proof.explorer.core import Core
from tests.proof.explorer.provider import LIFE, Behaviour, Provider, Sighting

START = 1000
NAMES = "ABC"


class Does(StrEnum):
    """Where a replica stands in `bff.flows.refresh.attempt`."""

    IDLE = "idle"
    ASK = "reads the record again"
    RESERVE = "writes its reservation"
    SEND = "sends"
    AWAIT = "awaits the answer"
    SETTLE = "judges the answer"
    WRITE = "writes the outcome"
    REST = "rests until it may go on"


class Request(NamedTuple):
    token: str
    sent_at: int
    reach_by: int  # the provider hears of it by then, or never
    after_grace: bool
    answer: TokenResult | None = None  # once the provider has processed it


class Replica(NamedTuple):
    does: Does = Does.IDLE
    paused: bool = False
    read: int = 0  # the version of the record that it read last
    reserved: Session | None = None
    resend_of: str | None = None  # the attempt that failed quickly, which its holder may send again at once
    request: Request | None = None
    answer: TokenResult | None = None
    result: RefreshResult | None = None
    until: int = 0


class Budget(NamedTuple):
    """How many faults are left."""

    crashes: int = 1
    losses: int = 1  # of a request or its answer: the holder sees a reset or a timeout
    pauses: int = 1
    sign_outs: int = 1
    refusals: int = 0  # connections refused: certainly not sent
    revocations: int = 0  # of the whole family, by an administrator of the provider
    stragglers: int = 0  # requests that the provider hears although the holder saw the connection reset
    throttles: int = 0  # 429, whatever its body says
    breakdowns: int = 0  # times at which the provider begins to refuse everybody, and not as RFC 6749 says


class Setting(NamedTuple):
    behaviour: Behaviour
    policy: Policy
    replicas: int = 2
    budget: Budget = Budget()
    core: Core = Core()
    others: bool = True  # whether the replicas are granted tokens for other sessions all the time


class World(NamedTuple):
    now: int
    record: Session | None
    replicas: tuple[Replica, ...]
    orphans: tuple[Request, ...]  # on their way to the provider, and nobody waits for the answer
    provider: Provider
    left: Budget
    broken_since: int | None = None  # since when the provider refuses everybody


class Step(NamedTuple):
    """One thing that happens. `kind` is who moves; the rest is what the invariants look at."""

    kind: str
    story: str
    world: World
    facts: tuple[str, ...] = ()
    sighting: Sighting | None = None  # the provider processed a token
    written_onto: int | None = None  # the version that the writer had read
    reserved: Session | None = None
    sent: Request | None = None
    ended: EndReason | None = None
    revoked: str | None = None


class Fields(dict[str, Any]):
    """An empty mapping that can be hashed, for sessions that are kept in sets."""

    def __hash__(self) -> int:  # type: ignore[override]
        return 0


def beginning(setting: Setting) -> World:
    """A session whose renewal is due, with an access token that is good for a little longer."""
    tokens = Tokens(
        access_token=f"a{START + 3}",
        usable_until=START + 2,
        refresh_at=START,
        received_at=START - LIFE,
        refresh_token="r0",
    )
    record = Session(
        key=SessionKey("k" * 43),
        version=1,
        rotation=0,
        issuer="https://provider.example",
        client_id="bff",
        user=User("someone", claims=Fields()),
        tokens=tokens,
        signed_in_at=START,
        ends_at=START + 10**9,
        extra=Fields(),
    )
    return World(START, record, (Replica(),) * setting.replicas, (), Provider(), setting.budget)


def moved(world: World, index: int, replica: Replica) -> World:
    replicas = world.replicas
    return world._replace(replicas=(*replicas[:index], replica, *replicas[index + 1 :]))


def revoke_all_of(provider: Provider, record: Session) -> Provider:
    provider = provider.revoke(record.tokens.refresh_token)
    return provider.revoke(record.concurrent_successor.refresh_token) if record.concurrent_successor else provider


def told(answer: TokenResult) -> str:
    match answer:
        case Granted(tokens):
            return f"Granted({tokens.refresh_token})"
        case _:
            return repr(answer)
