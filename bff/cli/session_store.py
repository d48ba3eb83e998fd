"""Runs a command on the session store, and prints its lines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from bff.admin.sessions import AdminContext, TokensStayValid, open_admin_context
from bff.cli import exit_codes, output
from bff.config.settings import Settings
from bff.errors import StoreUnavailable
from bff.session.store import InvalidPosition
from bff.telemetry.logging import configure_logging

logger = logging.getLogger(__name__)


def print_from_store(settings: Settings, work: Callable[[AdminContext], AsyncIterator[str]]) -> int:
    """Prints each line as soon as `work` yields it. Returns the exit code."""
    configure_logging(settings.telemetry.log_level, settings.telemetry.log_format)

    async def run() -> None:
        async with open_admin_context(settings) as context:
            async for line in work(context):
                output.line(line, flush=True)

    try:
        asyncio.run(run())
    except StoreUnavailable as error:
        logger.error("the session store is unavailable", extra={"why": str(error)})
        return exit_codes.UNAVAILABLE
    except InvalidPosition:
        output.problem("Error: --after has no position in this store.", "Give the one that --limit printed.")
        return exit_codes.USAGE
    except TokensStayValid as error:
        output.problem(f"Error: {error}.", "The log names their sessions; revoke them at the provider.")
        return exit_codes.FAILED
    return exit_codes.OK
