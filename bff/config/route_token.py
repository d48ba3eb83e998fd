"""`token` of a route: what its upstream gets in the `Authorization` header."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, PlainValidator, ValidationError

from bff.config import validators
from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken, ResourceToken
from bff.config.identity_assertion import IdentityToken

TokenKind: TypeAlias = Literal["user", "user_or_none", "none"]
TokenTable: TypeAlias = IdentityToken | ExchangeToken | ResourceToken | ClientCredentialsToken

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "identity": IdentityToken,
    "exchange": ExchangeToken,
    "client_credentials": ClientCredentialsToken,
}
_EXAMPLES: Final = {
    "identity": '{ identity = { audience = "orders-api", claims = ["sub", "email"] } }',
    "exchange": '{ exchange = { audience = "api://orders", scope = "orders:read" } }',
    "resource": '{ resource = "https://inventory.example.com" }',
    "client_credentials": '{ client_credentials = { scope = "reports:read" } }',
}
_EXAMPLE: Final = _EXAMPLES["identity"]


def _token(value: Any) -> Any:
    """Validates `token` of a route: a word, or a table with one key. A union would report each of its members."""
    if isinstance(value, get_args(TokenTable)):
        return value
    if isinstance(value, dict):
        return _table(value)
    for word in get_args(TokenKind):
        if value == word:
            return word
    raise validators.invalid("should be 'user', 'user_or_none', 'none' or a table.", f"The table is like {_EXAMPLE}.")


def _table(value: Mapping[Any, Any]) -> BaseModel:
    key = next(iter(value), None)
    if len(value) != 1 or key not in _EXAMPLES:
        fix = f"Write it like {', '.join(_EXAMPLES.values())}."
        raise validators.invalid("is a table of another form.", fix)
    content, fix = value[key], f"Write it like {_EXAMPLES[key]}."
    try:
        if key == "resource":
            return ResourceToken.model_validate(dict(value))
        if isinstance(content, dict):
            return _TABLES[key].model_validate(content)
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or key
        article = "an" if key in ("identity", "exchange") else "a"
        raise validators.invalid(f"has {article} {key} with: {place}: {detail['msg']}", fix) from None
    raise validators.invalid("is a table of another form.", fix)


def _forward_auth_token(value: Any) -> Any:
    """Validates the token of `/auth/verify`, which requires a session in any case."""
    example = f"The table is like {_EXAMPLE}."
    if value == "user" or isinstance(value, IdentityToken):
        return value
    if isinstance(value, dict):
        token = _table(value)
        if isinstance(token, IdentityToken):
            return token
        raise validators.invalid("is a table of a kind that only routes have.", example)
    raise validators.invalid("should be 'user' or a table.", example)


ForwardAuthToken: TypeAlias = Annotated[Literal["user"] | IdentityToken, PlainValidator(_forward_auth_token)]
RouteToken: TypeAlias = Annotated[TokenKind | TokenTable, PlainValidator(_token)]
