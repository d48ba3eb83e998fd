"""Families of refresh tokens: rotation, grace period, replay and reuse, as one small state machine.

Pure: no I/O, no clock, no framework. `now` is an argument, in seconds since the epoch, and results are values, so that
both the HTTP simulator and an in-memory simulation can use it.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, assert_never

from demo.simulator.grants import (
    AccessToken,
    FamilyView,
    Issued,
    RefreshOutcome,
    Refusal,
    Refused,
    Replay,
    ReuseAlarm,
    RotationPolicy,
    SignIn,
    Wanted,
    fingerprint,
)
from demo.simulator.lineage import Family, Lineage, RefreshToken, Status, has_expired


def _random_value(kind: str) -> str:
    return f"{kind}{secrets.token_urlsafe(32)}"


class TokenFamilies:
    """Every refresh token issued, and its state. `policy` may be replaced at any time."""

    def __init__(
        self, policy: RotationPolicy | None = None, *, new_value: Callable[[str], str] = _random_value
    ) -> None:
        """`new_value(prefix)` returns a new unique token or id; a simulation passes a counter."""
        self.policy = policy or RotationPolicy()
        self.rotation_of: dict[str, tuple[Literal["persistent", "rotate"], float] | None] = {}  # by client: mode, grace
        self.alarms: list[ReuseAlarm] = []
        self._new_value = new_value
        self._families: dict[str, Family] = {}
        self._shared: dict[tuple[str, str, str], Family] = {}
        self._tokens: dict[str, RefreshToken] = {}
        self._access_tokens: dict[str, tuple[AccessToken, Lineage]] = {}
        self._revoked_access_tokens: set[str] = set()
        self._unassigned: set[str] = set()

    # --- what a client does ------------------------------------------------------------------------------------------

    def sign_in(self, sign_in: SignIn, now: float, audience: str = "") -> Issued:
        """Begin a family, or join the shared one. Only a grant with `offline_access` brings a refresh token."""
        lineage = Lineage(sign_in, self._family_for(sign_in, now), now)
        lineage.family.lineages.append(lineage)
        token = self._mint(lineage, now) if "offline_access" in sign_in.scope else None
        # The first response always contains the refresh token, which the client could not obtain otherwise.
        return self._issue(lineage, Wanted(sign_in.scope, audience), now, token)

    def refresh(
        self,
        refresh_token: str,
        *,
        client_id: str,
        now: float,
        issuer: str | None = None,
        scope: Iterable[str] | None = None,
        audience: str = "",
    ) -> RefreshOutcome:
        """Exchange a refresh token (RFC 6749 section 6). `scope` None means all that was granted."""
        token = self._tokens.get(refresh_token)
        if token is None:
            return Refused(Refusal.UNKNOWN)
        lineage = token.lineage
        sign_in, family = lineage.sign_in, lineage.family
        wanted = Wanted(sign_in.scope if scope is None else frozenset(scope), audience)
        refusal: Refusal | None = None
        if sign_in.client_id != client_id:
            refusal = Refusal.MISMATCHED_CLIENT
        elif issuer is not None and sign_in.issuer != issuer:
            refusal = Refusal.MISMATCHED_AUTHORIZATION_SERVER
        elif lineage.revoked or token.status is Status.REVOKED:
            refusal = Refusal.REVOKED
        elif has_expired(token, self.policy, now):
            refusal = Refusal.EXPIRED
        elif sign_in.sub in self._unassigned:
            refusal = Refusal.USER_NOT_ASSIGNED
        elif not wanted.scope <= sign_in.scope:
            refusal = Refusal.SCOPES_DENIED
        if refusal is not None:
            return Refused(refusal, family.id)
        match token.status:
            case Status.LIVE:
                return self._first_use(token, wanted, now)
            case Status.RETIRED:
                return self._replay(token, wanted, now)
            case Status.REVOKED:  # pragma: no cover - refused above
                return Refused(Refusal.REVOKED, family.id)

    def derive(self, subject: AccessToken, sign_in: SignIn, now: float) -> Issued:
        """An access token in exchange for another (RFC 8693), revoked with the same sign-in. No refresh token."""
        lineage = self._access_tokens[subject.id][1]
        expires_at = now + self.policy.access_token_lifetime
        access = AccessToken(self._new_value("AT."), subject.family_id, sign_in, sign_in.scope, now, expires_at)
        self._access_tokens[access.id] = (access, lineage)
        return Issued(subject.family_id, sign_in, sign_in.scope, access.id, expires_at, None, id_token=False)

    def revoke_refresh_token(self, refresh_token: str, client_id: str) -> bool:
        """RFC 7009. The current token is revoked with its lineage and access tokens; an already rotated one alone, so
        that a client which revokes the wrong one visibly leaves a valid token behind.
        """
        token = self._tokens.get(refresh_token)
        if token is None or token.lineage.sign_in.client_id != client_id:
            return False
        if token.status is Status.LIVE:
            self._revoke_lineage(token.lineage, "revoked by the client")
        else:
            self._revoke_token(token)
        return True

    def revoke_access_token(self, access_token: str, client_id: str) -> bool:
        """RFC 7009: the refresh token stays."""
        entry = self._access_tokens.get(access_token)
        if entry is None or entry[0].sign_in.client_id != client_id:
            return False
        self._revoked_access_tokens.add(access_token)
        return True

    def access_token(self, access_token: str, now: float) -> AccessToken | None:
        """The access token of this id, if it is neither expired nor revoked."""
        entry = self._access_tokens.get(access_token)
        if entry is None or entry[1].revoked or access_token in self._revoked_access_tokens:
            return None
        return entry[0] if now < entry[0].expires_at else None

    def sign_in_of(self, refresh_token: str) -> SignIn | None:
        """The grant that a refresh token was issued for, whatever its state is."""
        token = self._tokens.get(refresh_token)
        return None if token is None else token.lineage.sign_in

    def live_sign_in(self, refresh_token: str, now: float) -> SignIn | None:
        """The grant of a refresh token, if a first use of it would succeed now. For introspection (RFC 7662)."""
        token = self._tokens.get(refresh_token)
        live = token is not None and token.status is Status.LIVE and not token.lineage.revoked
        return token.lineage.sign_in if token and live and not has_expired(token, self.policy, now) else None

    # --- what an administrator does ----------------------------------------------------------------------------------

    def unassign(self, sub: str) -> None:
        self._unassigned.add(sub)

    def assign(self, sub: str) -> None:
        self._unassigned.discard(sub)

    def is_unassigned(self, sub: str) -> bool:
        return sub in self._unassigned

    def revoke_user(self, sub: str) -> int:
        """Revoke every token of a person; how many sign-ins ended."""
        lineages = [
            lineage
            for family in self._families.values()
            for lineage in family.lineages
            if lineage.sign_in.sub == sub and not lineage.revoked
        ]
        for lineage in lineages:
            self._revoke_lineage(lineage, "revoked by an administrator")
        return len(lineages)

    def revoke_family_of(self, refresh_token: str, why: str) -> bool:
        token = self._tokens.get(refresh_token)
        if token is None:
            return False
        self._revoke_family(token.lineage.family, why)
        return True

    def families(self) -> list[FamilyView]:
        return [family.view() for family in self._families.values()]

    # --- the table ---------------------------------------------------------------------------------------------------

    def _first_use(self, token: RefreshToken, wanted: Wanted, now: float) -> Issued:
        lineage = token.lineage
        token.used_at, token.exchanged = now, True
        if not self.policy.answer_refresh_token:
            return self._issue(lineage, wanted, now, None)
        if self._policy_of(lineage).mode == "persistent":
            return self._issue(lineage, wanted, now, token)
        before, lineage.live = lineage.live, []
        successor = self._mint(lineage, now)
        for other in before:
            other.status, other.retired_at, other.successor = Status.RETIRED, now, successor
        lineage.family.rotation_count += 1
        return self._issue(lineage, wanted, now, successor, rotated=True)

    def _replay(self, token: RefreshToken, wanted: Wanted, now: float) -> RefreshOutcome:
        successor, policy = token.successor, self._policy_of(token.lineage)
        assert successor is not None
        older = successor.exchanged
        closed = older and policy.replay is Replay.CLOSED_BY_SUCCESSOR
        if closed or now >= token.retired_at + policy.grace:
            return self._reuse(token, now)
        lineage = token.lineage
        answer: RefreshToken
        match policy.replay:
            case Replay.SAME_SUCCESSOR | Replay.CLOSED_BY_SUCCESSOR:
                answer = successor
            case Replay.SIBLING:
                descendant: RefreshToken | None = successor
                while descendant is not None:
                    self._revoke_token(descendant)
                    descendant = descendant.successor
                answer = token.successor = self._mint(lineage, now)
            case Replay.OLD_TOKEN:
                token.status = Status.LIVE
                lineage.live.append(token)
                answer = token
            case Replay.OLD_TOKEN_STALE:
                answer = token
            case _:
                assert_never(policy.replay)
        lineage.family.resends += 1
        named = answer if policy.answer_refresh_token else None
        return self._issue(lineage, wanted, now, named, resend=True, older_than_previous=older)

    def _reuse(self, token: RefreshToken, now: float) -> Refused:
        family = token.lineage.family
        self.alarms.append(ReuseAlarm(now, family.id, fingerprint(token.value), token.retired_at))
        match self.policy.on_reuse:
            case "revoke_family":
                self._revoke_family(family, "reuse detected")
            case "refuse":
                pass
            case _:
                assert_never(self.policy.on_reuse)
        return Refused(Refusal.REUSED, family.id)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _family_for(self, sign_in: SignIn, now: float) -> Family:
        key = (sign_in.sub, sign_in.client_id, sign_in.issuer)
        shared = self._shared.get(key) if self.policy.family_scope == "user_and_client" else None
        if shared is not None and not shared.view().revoked:
            return shared
        family = Family(self._new_value("fam")[:16], sign_in.sub, sign_in.client_id, now)
        self._families[family.id] = self._shared[key] = family
        return family

    def _policy_of(self, lineage: Lineage) -> RotationPolicy:
        """An app may override rotation and grace period."""
        own = self.rotation_of.get(lineage.sign_in.client_id)
        return self.policy if own is None else replace(self.policy, mode=own[0], grace=own[1])

    def _mint(self, lineage: Lineage, now: float) -> RefreshToken:
        token = RefreshToken(self._new_value(""), lineage, now, now)
        self._tokens[token.value] = token
        lineage.live.append(token)
        return token

    def _revoke_token(self, token: RefreshToken) -> None:
        if token.status is Status.LIVE:
            token.lineage.live.remove(token)
        token.status = Status.REVOKED

    def _issue(
        self,
        lineage: Lineage,
        wanted: Wanted,
        now: float,
        token: RefreshToken | None,
        *,
        rotated: bool = False,
        resend: bool = False,
        older_than_previous: bool = False,
    ) -> Issued:
        family, expires_at = lineage.family, now + self.policy.access_token_lifetime
        access = AccessToken(self._new_value("AT."), family.id, lineage.sign_in, wanted.scope, now, expires_at)
        self._access_tokens[access.id] = (access, lineage)
        family.latest_access_token = access
        return Issued(
            family_id=family.id,
            sign_in=lineage.sign_in,
            scope=wanted.scope,
            access_token=access.id,
            access_token_expires_at=expires_at,
            refresh_token=token.value if token is not None else None,
            id_token="openid" in wanted.scope and self.policy.answer_id_token,
            rotated=rotated,
            resend=resend,
            older_than_previous=older_than_previous,
            audience=wanted.audience,
        )

    def _revoke_lineage(self, lineage: Lineage, why: str) -> None:
        lineage.revoked = lineage.revoked or why

    def _revoke_family(self, family: Family, why: str) -> None:
        for lineage in family.lineages:
            self._revoke_lineage(lineage, why)
