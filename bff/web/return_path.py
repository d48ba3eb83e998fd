"""The return path of a request, by the paths and the origin of this application."""

from collections.abc import Mapping

from bff.config.browser import BrowserSettings
from bff.errors import InvalidRequest
from bff.session.return_to import safe_return_to
from bff.web.popup_page import is_popup, popup_path


def return_path(wanted: str | None, browser: BrowserSettings) -> str:
    """`wanted` if it is a plain path on our origin, otherwise the landing path; see `bff.session.return_to`.

    Of our own pages only the one that a sign-in in a popup ends on.
    """
    if wanted is not None and is_popup(wanted):
        return wanted
    return safe_return_to(
        wanted, fallback=browser.landing_path, public_url=browser.public_url, callback_path=browser.callback_path
    )


def requested_return_path(parameters: Mapping[str, str]) -> str | None:
    """Not yet validated. Raises InvalidRequest for another `mode` than `popup`, or a malformed id."""
    mode = parameters.get("mode")
    if mode is None:
        return parameters.get("return_to", parameters.get("target_link_uri"))
    path = popup_path(parameters.get("popup_id")) if mode == "popup" else None
    if path is None:
        raise InvalidRequest("The parameter mode is not popup, or popup_id is not 16 to 64 letters, digits, - or _.")
    return path
