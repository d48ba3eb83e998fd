"""The exit codes of every command. `docs/cli.md` has the same table; a test compares the two."""

from dataclasses import dataclass
from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
DIFFERENT: Final = 2
UNAVAILABLE: Final = 3
STALLED: Final = 4
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it


@dataclass(frozen=True, slots=True)
class Meaning:
    """`commands` names the commands for which `code` has this meaning."""

    code: int
    commands: str
    meaning: str


TABLE: Final = (
    Meaning(OK, "all", "Success. Warnings and notes are allowed."),
    Meaning(FAILED, "all", "The configuration is invalid. Every problem was printed."),
    Meaning(FAILED, "doctor", "At least one check failed."),
    Meaning(FAILED, "health", "The process does not respond, or responds that it is not alive or not ready."),
    Meaning(FAILED, "routes explain", "The BFF would not forward the request."),
    Meaning(FAILED, "sessions end", "Sessions have ended, but at least one of their tokens stays valid."),
    Meaning(FAILED, "okta", "An error, or a command line that is not valid."),
    Meaning(USAGE, "all but okta", "The command line is not valid."),
    Meaning(DIFFERENT, "okta plan, okta apply", "The org differs from the settings, or a manual step remains."),
    Meaning(UNAVAILABLE, "serve", "The application could not start, for example without the provider's metadata."),
    Meaning(UNAVAILABLE, "sessions, keys rewrap", "The session store is unavailable."),
    Meaning(STALLED, "serve", "The event loop stood still for BFF_WATCHDOG_TIMEOUT, and the process ended itself."),
    Meaning(INTERRUPTED, "all but serve", "Interrupted by Ctrl-C."),
)
