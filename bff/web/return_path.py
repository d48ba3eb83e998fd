"""The return path of a request, by the paths and the origin of this application."""

from bff.config.browser import BrowserSettings
from bff.session.return_to import safe_return_to


def return_path(wanted: str | None, browser: BrowserSettings) -> str:
    """`wanted` if it is a plain path on our origin, otherwise the landing path; see `bff.session.return_to`."""
    return safe_return_to(
        wanted, fallback=browser.landing_path, public_url=browser.public_url, callback_path=browser.callback_path
    )
