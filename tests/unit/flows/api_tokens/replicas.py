"""Replicas that request tokens of APIs, over one store and one provider in memory."""

from collections.abc import Mapping

from bff.config.api_tokens import ClientName, ExchangeToken, UserApiToken
from bff.flows.api_tokens.api_access import ApiAccess, TokenIssuers
from bff.flows.api_tokens.audience_tokens import AudienceTokens
from bff.flows.api_tokens.exchange_request import ExchangeRequests
from bff.flows.refresh.flow import SessionAt
from bff.oidc.provider import TokenIssuer
from bff.session.session import Session
from tests.harness.minting import ISSUER
from tests.unit.flows.parts import Parts

ORDERS = ExchangeToken(audience="orders")
BILLING = ExchangeToken(audience="billing", scope=("pay",))


def issuers_of(parts: Parts) -> TokenIssuers:
    by_client: Mapping[tuple[str, ClientName], TokenIssuer] = {(ISSUER, "sign_in"): parts.provider}
    return TokenIssuers(by_client, ISSUER)


class Replica:
    def __init__(self, parts: Parts, issuers: TokenIssuers | None = None) -> None:
        self.parts = parts
        issuers = issuers or issuers_of(parts)
        exchanges = ExchangeRequests(parts.store, issuers, parts.refresh, parts.revocations, parts.timing)
        self.tokens = AudienceTokens(parts.store, exchanges, parts.refresh, parts.tasks, parts.timing)

    async def access(self, session: Session, token: UserApiToken = ORDERS, rejected: str | None = None) -> ApiAccess:
        """As a request of that session does it."""
        at: SessionAt = await self.parts.refresh.session_at(session.key)
        return await self.tokens.access(at, token, rejected=rejected)
