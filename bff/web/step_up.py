"""The sign-in URL that an error offers: a new sign-in of the kind that an API or an access rule requires."""

import logging
from collections.abc import Collection
from urllib.parse import quote, urlencode

from bff.errors import ForbiddenByRule, StepUpRequired

logger = logging.getLogger(__name__)


def step_up_url(error: StepUpRequired | ForbiddenByRule, acr_values: Collection[str]) -> str | None:
    """The URL without its last value, the percent-encoded return path.

    None if no sign-in would help, or if the settings, with these `acr_values`, allow no link to request it.
    """
    if isinstance(error, ForbiddenByRule) and not error.acr_values and error.max_age is None:
        return None
    offered = tuple(value for value in error.acr_values if value in acr_values)
    if error.acr_values and not offered:
        required_by = "an access rule" if isinstance(error, ForbiddenByRule) else "an API"
        logger.warning(
            "an acr value is required that BFF_ACR_VALUES does not list",
            extra={"acr": error.acr_values, "required_by": required_by},
        )
        return None
    parameters = {"acr_values": " ".join(offered)} if offered else {}
    if error.max_age is not None:
        parameters["max_age"] = str(error.max_age)
    return f"/auth/login?{urlencode({**parameters, 'return_to': ''}, quote_via=quote)}"
