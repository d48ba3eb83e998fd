"""Signs identity assertions, and keeps each for the requests of the same session and route until half its life.

A signature costs a quarter of a request, with RSA several requests. Without a session in the store nothing is looked up
here, and a record that was written since, perhaps with other claims, has another version: so a kept assertion says
nothing that a new one would not.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bff.config.identity_assertion import IdentityToken
from bff.lru import LruCache
from bff.oidc.jws import sign
from bff.oidc.signing_keys import SigningKeys
from bff.session.identity_assertion import TYP, assertion_claims
from bff.session.session import SessionKey
from bff.session.session_view import SessionView

CACHE: Final = 8 << 20  # bytes of memory for kept assertions: about 7,000
_ENTRY: Final = 500  # bytes beside the assertion itself


@dataclass(frozen=True, slots=True)
class _Kept:
    version: int
    signed_at: float
    until: float
    assertion: str = field(repr=False)


class IdentityAssertions:
    """One per application."""

    def __init__(
        self, issuer: str, keys: SigningKeys | None, *, clock: Callable[[], float], cache: int = CACHE
    ) -> None:
        """`issuer` is the public URL. `clock`: seconds since the epoch. `cache`: bytes of memory."""
        self._issuer, self._keys, self._clock = issuer, keys, clock
        self._kept: LruCache[tuple[SessionKey, str], _Kept] = LruCache(
            cache, lambda _, kept: _ENTRY + len(kept.assertion)
        )

    def assertion(self, session: SessionView, identity: IdentityToken, place: str) -> str:
        """One about this session that is valid for at least half its lifetime. `place` is the prefix of the route.

        Raises ValueError without keys; the settings have some if they have an `identity`.
        """
        now, entry = self._clock(), (session.key, place)
        kept = self._kept.get(entry)
        if kept is not None and kept.version == session.version and kept.signed_at <= now < kept.until:
            return kept.assertion
        if self._keys is None:
            raise ValueError("there are no keys to sign identity assertions with")
        signer = self._keys.signer
        claims = assertion_claims(
            session,
            issuer=self._issuer,
            audience=identity.audience,
            claims=identity.claims,
            lifetime=identity.lifetime,
            now=now,
            jti=secrets.token_urlsafe(16),
        )
        assertion = sign(claims, signer.key, alg=signer.alg, kid=signer.kid, typ=TYP)
        until = now + (claims["exp"] - now) / 2
        self._kept.put(entry, _Kept(session.version, now, until, assertion))
        return assertion
