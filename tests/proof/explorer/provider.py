"""A model of the provider: one family of refresh tokens, in every behaviour a rotating provider may show. Pure."""

from typing import Literal, NamedTuple

from bff.oidc.token import Denied, Granted, TokenResponse, TokenResult

LIFE = 16  # seconds an access token lives


class Behaviour(NamedTuple):
    name: str
    grace: int = 8  # how long the previous token stays good; at 0 every second use is reuse
    rotates: bool = True
    # What the previous token gets inside the grace: the same successor, a sibling that revokes the first successor,
    # or the old token itself, which is current again ("old") or dies with its grace all the same ("old_stale").
    replay: Literal["same", "sibling", "old", "old_stale"] = "same"
    closes: bool = False  # the first use of the successor ends its predecessor's grace
    reuse_revokes: bool = True  # reuse takes the whole family down; otherwise it is only refused
    names_refresh_token: bool = True
    refusal: Denied = Denied(400, "invalid_grant")  # what a token gets that is not good


class Token(NamedTuple):
    """`home`: a holder that was given it has put it away. `again`: handed back after it had been rotated."""

    name: str
    status: Literal["live", "retired", "revoked"] = "live"
    retired_at: int = 0
    successor: str | None = None
    access_until: int = 0  # of the access token that came with the successor: a replay may carry that very one
    home: bool = False
    again: bool = False


class Sighting(NamedTuple):
    """What the provider saw when a token was presented."""

    token: Token
    after_grace: bool
    replay: bool = False
    reuse: bool = False
    older: bool = False  # its successor has been used already


class Provider(NamedTuple):
    tokens: tuple[Token, ...] = (Token("r0", home=True),)
    minted: int = 1

    def find(self, name: str | None) -> Token | None:
        return next((token for token in self.tokens if token.name == name), None)

    def live(self) -> tuple[Token, ...]:
        return tuple(token for token in self.tokens if token.status == "live")

    def with_token(self, token: Token) -> "Provider":
        """The token replaced where it stands, or added."""
        if self.find(token.name) is None:
            return self._replace(tokens=(*self.tokens, token), minted=self.minted + 1)
        return self._replace(tokens=tuple(token if each.name == token.name else each for each in self.tokens))

    def brought_home(self, name: str | None) -> "Provider":
        token = self.find(name)
        return self if token is None else self.with_token(token._replace(home=True))

    def keep(self, names: set[str | None]) -> "Provider":
        """Forgets what nobody can name any more, so that a run without end has finitely many states."""
        if all(token.status == "live" or token.name in names for token in self.tokens):
            return self
        wanted = names | {token.name for token in self.tokens if token.status == "live"}
        wanted |= {token.successor for token in self.tokens if token.name in wanted and token.status == "retired"}
        return self._replace(tokens=tuple(token for token in self.tokens if token.name in wanted))

    def revoke(self, name: str | None) -> "Provider":
        """RFC 7009. A current token takes the family along; one already rotated takes nothing along."""
        token = self.find(name)
        if token is None:
            return self
        return self.revoke_all() if token.status == "live" else self.with_token(token._replace(status="revoked"))

    def revoke_all(self) -> "Provider":
        return self._replace(tokens=tuple(token._replace(status="revoked") for token in self.tokens))

    def present(
        self, behaviour: Behaviour, name: str, now: int, *, after_grace: bool
    ) -> tuple["Provider", TokenResult, Sighting]:
        """RFC 6749 section 6."""
        token = self.find(name)
        assert token is not None, name
        if token.status == "revoked":
            return self, behaviour.refusal, Sighting(token, after_grace)
        if token.status == "live":
            after, answer = self._first_use(behaviour, token, now)
            return after, answer, Sighting(token, after_grace)
        successor = self.find(token.successor)
        older = successor is not None and successor.status == "retired"
        if (older and behaviour.closes) or behaviour.grace == 0 or now > token.retired_at + behaviour.grace:
            after = self.revoke_all() if behaviour.reuse_revokes else self
            return after, behaviour.refusal, Sighting(token, after_grace, reuse=True, older=older)
        after, answer = self._replay(behaviour, token, now)
        return after, answer, Sighting(token, after_grace, replay=True, older=older)

    def _first_use(self, behaviour: Behaviour, token: Token, now: int) -> tuple["Provider", TokenResult]:
        if not behaviour.rotates:
            return self, _granted(now + LIFE, token.name if behaviour.names_refresh_token else None)
        name = f"r{self.minted}"
        after = self
        for other in self.live():
            after = after.with_token(
                other._replace(status="retired", retired_at=now, successor=name, access_until=now + LIFE, again=False)
            )
        return after.with_token(Token(name)), _granted(now + LIFE, name)

    def _replay(self, behaviour: Behaviour, token: Token, now: int) -> tuple["Provider", TokenResult]:
        match behaviour.replay:
            case "same":
                return self, _granted(token.access_until, token.successor)
            case "sibling":
                sibling = f"r{self.minted}"
                after = self.with_token(token._replace(successor=sibling))
                first = self.find(token.successor)
                if first is not None:
                    after = after.with_token(first._replace(status="revoked"))
                return after.with_token(Token(sibling)), _granted(now + LIFE, sibling)
            case "old":
                back = token._replace(status="live", again=True)
                return self.with_token(back), _granted(now + LIFE, token.name)
            case "old_stale":
                return self.with_token(token._replace(again=True)), _granted(now + LIFE, token.name)


def _granted(access_until: int, refresh_token: str | None) -> Granted:
    """The access token says when it truly ends; `expires_in` is the full life even where the answer is an old one."""
    return Granted(TokenResponse(access_token=f"a{access_until}", expires_in=LIFE, refresh_token=refresh_token))


PERSISTENT = Behaviour("persistent", rotates=False)
SAME = Behaviour("replay returns the same successor")
SIBLING = Behaviour("replay mints a sibling and revokes the first successor", replay="sibling")
CLOSES = Behaviour("first use of the successor closes the grace", closes=True)
NO_GRACE = Behaviour("grace 0", grace=0)
OLD = Behaviour("replay hands back the old token, current again", replay="old")
OLD_STALE = Behaviour("replay hands back the old token, which dies with its grace", replay="old_stale")
REFUSES = Behaviour("reuse is refused, the family lives", reuse_revokes=False)
OLD_STALE_REFUSES = OLD_STALE._replace(name="the old token is handed back, then refused", reuse_revokes=False)
NO_NAME = Behaviour("no refresh_token in the answer", rotates=False, names_refresh_token=False)
SHORT = Behaviour("a grace shorter than lease and answer", grace=4)
UNCLEAR = Behaviour("a dead token is refused without saying so", refusal=Denied(400, "invalid_request"))
UNCLEAR_NO_GRACE = UNCLEAR._replace(name="the same, grace 0", grace=0)
EVERY = (PERSISTENT, SAME, SIBLING, CLOSES, NO_GRACE, OLD, OLD_STALE, OLD_STALE_REFUSES, REFUSES, NO_NAME, SHORT)
