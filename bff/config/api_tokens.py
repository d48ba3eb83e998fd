"""Access tokens that the BFF requests for the APIs of a route, in the place of the session's own access token."""

import re
from functools import cached_property
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator

from bff.config import validators
from bff.config.field_types import Scope
from bff.config.identity_assertion import Audience
from bff.config.section import FROZEN
from bff.session.audience_tokens import entry_name, resource_name

# RFC 8707 section 2: an absolute URI without a fragment.
_RESOURCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]{1,480}")

# The client of BFF_CLIENT_ID, or the one of BFF_SERVICE_CLIENT_ID.
ClientName: TypeAlias = Literal["sign_in", "service"]


def _scope(names: tuple[str, ...]) -> tuple[str, ...]:
    if "offline_access" in names or "openid" in names:
        problem = "contains offline_access or openid, which request tokens about the user."
        raise validators.invalid(problem, "Remove it: the BFF requests an access token only, and renews it itself.")
    return tuple(dict.fromkeys(names))


def _resource(value: str) -> str:
    if not _RESOURCE.fullmatch(value) or "#" in value:
        raise validators.invalid(
            "is not an absolute URI without a fragment (RFC 8707 section 2).",
            "Write it as the provider knows the API, like https://inventory.example.com.",
        )
    return value


TokenScopes: TypeAlias = Annotated[tuple[Scope, ...], BeforeValidator(validators.words), AfterValidator(_scope)]
TokenIssuer: TypeAlias = Annotated[str, AfterValidator(validators.issuer)]


class RequestedToken(BaseModel):
    """`client` requests it, at the authorization server `issuer`: that of BFF_ISSUER if there is none."""

    model_config = FROZEN

    scope: TokenScopes = ()
    client: ClientName = "sign_in"
    issuer: TokenIssuer | None = None


class ExchangeToken(RequestedToken):
    """For the session's access token, by token exchange (RFC 8693)."""

    audience: Audience

    @cached_property
    def name(self) -> str:
        return entry_name("exchange", self.audience, " ".join(self.scope), self.client, self.issuer or "")

    @property
    def kind(self) -> Literal["exchange"]:
        return "exchange"


class ResourceToken(BaseModel):
    """For a protected resource, by a refresh with `resource` (RFC 8707 section 2.2)."""

    model_config = FROZEN

    resource: Annotated[str, AfterValidator(_resource)]

    @cached_property
    def name(self) -> str:
        return resource_name(self.resource)

    @property
    def kind(self) -> Literal["resource"]:
        return "resource"


class ClientCredentialsToken(RequestedToken):
    """Of the BFF itself, without a user (RFC 6749 section 4.4). Some providers require the `audience`."""

    audience: Audience | None = None

    @property
    def kind(self) -> Literal["client_credentials"]:
        return "client_credentials"


# Kept in the record of a session; `name` identifies it there: routes with equal ones share a token.
UserApiToken: TypeAlias = ExchangeToken | ResourceToken
ApiToken: TypeAlias = UserApiToken | ClientCredentialsToken
