"""A hundred thousand Security Event Tokens that are wrong in some way, or strange: each is refused or acted on, none is
lost, no error is of another kind, and a person that no event names stays signed in."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from bff.oidc.jwks import parse_key_set
from bff.oidc.security_event_token import SecurityEventRefused
from bff.oidc.security_events import CAEP, DEFAULT_ACTIONS, RISC, SSF
from bff.session.session import User
from tests.harness.minting import EC_KEY, jwk, jwks, mint
from tests.harness.security_events import AUDIENCE, TRANSMITTER, iss_sub, of_session
from tests.unit.flows.parts import Parts
from tests.unit.flows.security_events.reception import Reception

TOKENS = 100_000
TYPES = [*(base + name for name in DEFAULT_ACTIONS for base in (CAEP, RISC)), f"{SSF}verification", "urn:x", ""]
SCALARS: list[Any] = [None, True, False, 0, -1, 1.5, 2**63, 10**400, "", "x", "é", "\ud800", "a" * 300, [], {}, [[]]]


class Sender:
    """Makes tokens about anybody but Bob. Signed with an elliptic curve, which takes a tenth of RSA's time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def anything(self, depth: int = 0) -> Any:
        choice = self.random.random()
        if depth > 3 or choice < 0.6:
            return self.random.choice(SCALARS)
        if choice < 0.8:
            return [self.anything(depth + 1) for _ in range(self.random.randrange(4))]
        return {str(self.random.choice(SCALARS)): self.anything(depth + 1) for _ in range(self.random.randrange(4))}

    def subject(self) -> Any:
        whole = [iss_sub("alice"), of_session("sid-alice", "alice"), {"user": iss_sub("alice")}, iss_sub("nobody")]
        whole += [{"format": "email", "email": "alice@example.com"}, {"format": "opaque", "id": "alice"}, None]
        subject = self.random.choice(whole)
        if isinstance(subject, dict) and self.random.random() < 0.5:
            subject = dict(subject)
            subject[self.random.choice(list(subject))] = self.anything()
        return subject if self.random.random() < 0.9 else self.anything()

    def events(self) -> Any:
        if self.random.random() < 0.05:
            return self.anything()
        return {self.random.choice(TYPES): self.payload() for _ in range(self.random.randrange(4))}

    def payload(self) -> Any:
        if self.random.random() < 0.1:
            return self.anything()
        payload = {"event_timestamp": self.random.choice([0, 1.0, 10**12, 10**400, -1, "now", None, True])}
        payload |= {"subject": self.subject()} if self.random.random() < 0.5 else {}
        for name in ("change_type", "change_direction", "current_status", "state", "status"):
            if self.random.random() < 0.2:
                payload[name] = self.random.choice(["create", "increase", "compliant", "paused", self.anything()])
        return payload

    def token(self, now: float, number: int) -> str:
        claims: dict[str, Any] = {"iss": TRANSMITTER, "aud": AUDIENCE, "iat": int(now), "jti": f"jti-{number}"}
        claims |= {"events": self.events()} | ({"sub_id": self.subject()} if self.random.random() < 0.5 else {})
        header: dict[str, Any] = {"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"}
        if self.random.random() < 0.2:
            claims[self.random.choice(list(claims))] = self.anything()
        if self.random.random() < 0.1:
            header[self.random.choice(["alg", "kid", "typ", "crit", "b64", "jwk"])] = self.anything()
        payload = json.dumps(claims).encode("utf-8", "surrogatepass")
        compact = mint(payload, json.dumps(header).encode(), key=EC_KEY, alg="ES256")
        return self.mutated(compact) if self.random.random() < 0.1 else compact

    def mutated(self, compact: str) -> str:
        place = self.random.randrange(len(compact))
        replacement = self.random.choice(["", ".", "A", "-", "=", "é", "\0", compact])
        return compact[:place] + replacement + compact[place + 1 :]


@pytest.mark.long
async def test_wrong_tokens_are_refused_and_end_no_session_of_another_person() -> None:
    parts, sender, seen = Parts(id_token_algorithms="ES256"), Sender(24), Counter[str]()
    reception = Reception(parts)
    reception.transmitter.key_sets = [parse_key_set(jwks(jwk(EC_KEY)))]
    bob = await parts.signed_in(user=User("bob", "bob@example.com"), sid="sid-bob")
    alice = await parts.signed_in(user=User("alice", "alice@example.com"), sid="sid-alice")
    for number in range(TOKENS):
        try:
            await reception.deliver(sender.token(parts.now, number))
            seen["accepted"] += 1
        except SecurityEventRefused as refused:
            seen[refused.err] += 1
        if await parts.stored(alice) is None:
            alice = await parts.signed_in(user=User("alice", "alice@example.com"), sid=f"sid-{number}")
            seen["ended"] += 1
    assert await parts.stored(bob) == bob
    assert sum(seen[name] for name in seen if name != "ended") == TOKENS
    assert min(seen["accepted"], seen["ended"], seen["invalid_request"], seen["invalid_key"]) > 100, seen
    await parts.settled()
