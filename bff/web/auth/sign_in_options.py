"""Options of a link to `/auth/login`: only values that the settings allow are passed to the provider."""

from collections.abc import Collection, Mapping
from typing import Final

from bff.errors import InvalidRequest
from bff.oidc.authorization import SignInOptions
from bff.web.auth.login_hint import LIMIT as HINT_LIMIT

PARAMETERS: Final = frozenset({"prompt", "max_age", "acr_values", "login_hint", "idp"})
MAX_AGE_DIGITS: Final = 9


def options_from(
    parameters: Mapping[str, str],
    *,
    allowed_prompts: Collection[str],
    acr_values: Collection[str],
    allowed_idps: Collection[str],
) -> SignInOptions:
    """Raises InvalidRequest. Anybody can craft a link, so it may only request values that the operator allows."""
    prompt = _allowed_values("prompt", parameters, allowed_prompts)
    max_age = _max_age(parameters.get("max_age"))
    if "none" in prompt and (len(prompt) > 1 or max_age == 0):
        raise InvalidRequest("The parameter prompt combines none with another value.")
    idp = _allowed_values("idp", parameters, allowed_idps)
    if len(idp) > 1:
        raise InvalidRequest("The parameter idp has more than one value.")
    hint = parameters.get("login_hint", "")
    return SignInOptions(
        prompt=" ".join(prompt) or None,
        max_age=max_age,
        acr_values=_allowed_values("acr_values", parameters, acr_values),
        # An invalid hint is dropped: the user types the name instead.
        login_hint=hint if 0 < len(hint) <= HINT_LIMIT and hint.isprintable() else None,
        idp=idp[0] if idp else None,
    )


def _allowed_values(name: str, parameters: Mapping[str, str], allowed: Collection[str]) -> tuple[str, ...]:
    """The values of a parameter, without duplicates; each must be allowed."""
    values = tuple(dict.fromkeys(parameters.get(name, "").split()))
    if not set(values) <= set(allowed):
        raise InvalidRequest(f"The parameter {name} has a value that is not allowed here.")
    return values


def _max_age(text: str | None) -> int | None:
    """Seconds."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_AGE_DIGITS):
        raise InvalidRequest("The parameter max_age is not a number of seconds.")
    return int(text)
