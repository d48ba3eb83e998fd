"""What a link to `/auth/login` may ask of the provider: what the settings list, and no more."""

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
    """Raises InvalidRequest. A link is anybody's: it can ask for more care, never for what is not offered here."""
    prompt = _listed("prompt", parameters, allowed_prompts)
    max_age = _max_age(parameters.get("max_age"))
    if "none" in prompt and (len(prompt) > 1 or max_age == 0):
        raise InvalidRequest("The parameter prompt says none and something else.")
    idp = _listed("idp", parameters, allowed_idps)
    if len(idp) > 1:
        raise InvalidRequest("The parameter idp names more than one.")
    hint = parameters.get("login_hint", "")
    return SignInOptions(
        prompt=" ".join(prompt) or None,
        max_age=max_age,
        acr_values=_listed("acr_values", parameters, acr_values),
        # Of no use to the provider as it is: the person types the name instead.
        login_hint=hint if 0 < len(hint) <= HINT_LIMIT and hint.isprintable() else None,
        idp=idp[0] if idp else None,
    )


def _listed(name: str, parameters: Mapping[str, str], offered: Collection[str]) -> tuple[str, ...]:
    """The words of a parameter, each once and every one of them offered."""
    words = tuple(dict.fromkeys(parameters.get(name, "").split()))
    if not set(words) <= set(offered):
        raise InvalidRequest(f"The parameter {name} holds a value that is not offered here.")
    return words


def _max_age(text: str | None) -> int | None:
    """Seconds."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_AGE_DIGITS):
        raise InvalidRequest("The parameter max_age is not a number of seconds.")
    return int(text)
