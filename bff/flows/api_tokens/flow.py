"""The access token for the APIs of a route, whatever its kind."""

from dataclasses import dataclass

from bff.config.api_tokens import ApiToken, ClientCredentialsToken
from bff.flows.api_tokens.api_access import ApiAccess
from bff.flows.api_tokens.audience_tokens import AudienceTokens
from bff.flows.api_tokens.client_credentials import ClientTokens
from bff.flows.refresh.flow import SessionAt
from bff.session.timing import token_fingerprint


@dataclass(frozen=True, slots=True)
class ApiTokens:
    """`audiences` are about the user of a session, `own` about the BFF itself."""

    audiences: AudienceTokens
    own: ClientTokens

    async def access(self, at: SessionAt, token: ApiToken, *, rejected: str | None = None) -> ApiAccess:
        """A valid access token for a request of that session.

        `rejected` is one that an upstream answered with 401; the same one is returned if there is no other. Raises
        ApiTokenRefused, ProviderUnavailable, StoreUnavailable, and SignInRequired if the session has ended.
        """
        if isinstance(token, ClientCredentialsToken):
            return await self.own.access(token, rejected=rejected)
        fingerprint = None if rejected is None else token_fingerprint(rejected)
        return await self.audiences.access(at, token, rejected=fingerprint)
