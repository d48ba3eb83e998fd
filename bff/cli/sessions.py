"""`bff sessions`: list, show and end sessions. `list` and `show` change nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bff.admin.selection import SelectedBy, Selection
from bff.admin.session_list import TEXT, JsonFormat, list_sessions, show_sessions
from bff.admin.sessions import end_sessions
from bff.cli import output
from bff.cli.command_tree import CONTEXT
from bff.cli.options import json_output, settings_from, settings_source
from bff.cli.session_store import print_from_store

Command = TypeVar("Command", bound=Callable[..., Any])

_CHOSEN: Final = "bff.cli.sessions.chosen"


def _selector(by: SelectedBy, text: str, **attributes: Any) -> Callable[[Command], Command]:
    def choose(ctx: click.Context, _: click.Parameter, value: str | bool | None) -> None:
        if value is not None and value is not False:
            ctx.meta.setdefault(_CHOSEN, []).append(Selection(by, str(value)))

    return click.option(f"--{by}", callback=choose, expose_value=False, help=text, **attributes)


_SELECTORS: Final = (
    _selector("sub", "The sessions of the user with this subject (claim sub).", metavar="SUBJECT"),
    _selector("email", "The sessions of the user with this e-mail address.", metavar="ADDRESS"),
    _selector("sid", "The sessions of a provider session (claim sid).", metavar="SID"),
    _selector("id", "One session, by its fingerprint in logs and in `list`.", metavar="FINGERPRINT"),
    _selector("all", "All sessions.", is_flag=True),
)


def selectors(command: Command) -> Command:
    """The options that select sessions."""
    for option in reversed(_SELECTORS):
        command = option(command)
    return command


def selection(ctx: click.Context, *, required: bool) -> Selection:
    """Raises UsageError for two selectors, or for none where one is required."""
    chosen: list[Selection] = ctx.meta.get(_CHOSEN, [])
    if len(chosen) > 1 or (required and not chosen):
        raise click.UsageError("Give exactly one of --sub, --email, --sid, --id and --all.", ctx)
    return chosen[0] if chosen else Selection()


@click.group(name="sessions", context_settings=CONTEXT)
def command() -> None:
    """List, show and end sessions. The output names sessions and users by fingerprints, and contains no token."""


@command.command(name="list", short_help="Print one line for each session.")
@settings_source
@selectors
@click.option("--limit", metavar="COUNT", type=click.IntRange(min=1), help="Of all sessions, print at most so many.")
@click.option("--after", metavar="POSITION", default="", help="Continue after --limit, which printed the position.")
@json_output
@click.pass_context
def list_command(
    ctx: click.Context, config: Path | None, env_file: Path | None, limit: int | None, after: str, as_json: bool
) -> int:
    """Print one line for each session, and their number. Without a selector: all sessions.

    The newest are first, but for more than 1,000 sessions in Redis, which keeps no order.
    """
    selected = selection(ctx, required=False)
    if selected.by != "all" and (limit is not None or after):
        raise click.UsageError("--limit and --after are for all sessions, not for a selector.", ctx)
    progress, form = output.progress_beside_results(), JsonFormat() if as_json else TEXT
    return print_from_store(
        settings_from(config, env_file),
        lambda context: list_sessions(context, selected, limit=limit, after=after, form=form, progress=progress),
    )


@command.command(name="show", short_help="Print the details of sessions.")
@settings_source
@selectors
@click.pass_context
def show(ctx: click.Context, config: Path | None, env_file: Path | None) -> int:
    """Print the details of sessions, without secrets."""
    selected, progress = selection(ctx, required=True), output.progress_beside_results()
    return print_from_store(settings_from(config, env_file), lambda context: show_sessions(context, selected, progress))


@command.command(name="end", short_help="End sessions, and revoke their tokens.")
@settings_source
@selectors
@click.option("--reason", metavar="TEXT", default="", help="A reason for the audit log.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0, max=86_400),
    default=60.0,
    show_default=True,
    help="How long to wait until the provider has revoked the tokens. The rest stays in the queue of the store.",
)
@click.pass_context
def end(ctx: click.Context, config: Path | None, env_file: Path | None, reason: str, wait: float) -> int:
    """End sessions, and revoke their tokens at the provider."""
    selected, progress = selection(ctx, required=True), output.Progress()
    return print_from_store(
        settings_from(config, env_file),
        lambda context: end_sessions(context, selected, reason, wait=wait, progress=progress),
    )
