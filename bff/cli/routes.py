"""`bff routes` and `bff routes explain METHOD PATH`: how a request would be handled. Sends nothing."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bff.cli import exit_codes, output
from bff.cli.command_tree import CONTEXT
from bff.cli.options import settings_from, settings_source
from bff.config.routes import Route
from bff.config.settings import Settings

if TYPE_CHECKING:
    from bff.admin.explain_access import AccessChecks
    from bff.admin.sessions import AdminContext


@click.group(
    name="routes",
    invoke_without_command=True,
    context_settings=CONTEXT,
    short_help="List the routes, or explain how a request is handled.",
)
@settings_source
@click.pass_context
def command(ctx: click.Context, config: Path | None, env_file: Path | None) -> None:
    """List the routes, the longest prefix first: the order in which they are matched."""
    if ctx.invoked_subcommand is None:
        _list(settings_from(config, env_file))


@command.command(name="explain", short_help="Explain how a request is handled.")
@click.argument("method")
@click.argument("path")
@click.option(
    "-H",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="A request header: prints whether it is forwarded, and never its value. May be repeated.",
)
@click.option(
    "--as",
    "user",
    metavar="USER",
    help="An e-mail address or a subject (claim sub): prints what the scopes and rules of the route decide for each "
    "session of that user in the store.",
)
@settings_source
@click.pass_context
def explain(
    ctx: click.Context,
    method: str,
    path: str,
    headers: tuple[str, ...],
    user: str | None,
    config: Path | None,
    env_file: Path | None,
) -> int:
    """Print which route a request matches, what is validated, and what is forwarded.

    The exit code is 0 if the BFF would forward the request, with --as for every session of the user, and 1 if not.
    """
    from bff.admin.explain_request import explain_request  # `bff routes` needs no web framework

    group = ctx.parent.params if ctx.parent is not None else {}
    settings = settings_from(config or group.get("config"), env_file or group.get("env_file"))
    explanation = explain_request(settings, method, path, headers)
    output.lines(explanation.lines)
    if user is not None and explanation.checks is not None:
        return _explain_as(settings, explanation.checks, user)
    return exit_codes.OK if explanation.forwarded else exit_codes.FAILED


def _explain_as(settings: Settings, checks: "AccessChecks", user: str) -> int:
    from bff.admin.explain_access import explain_access
    from bff.cli.session_store import print_from_store

    forwarded = False

    async def explained(context: "AdminContext") -> AsyncIterator[str]:
        nonlocal forwarded
        access = await explain_access(context.store, context.settings, checks, user, time.time())
        forwarded = access.forwarded
        for line in access.lines:
            yield line

    code = print_from_store(settings, explained)
    return code if code != exit_codes.OK or forwarded else exit_codes.FAILED


def _list(settings: Settings) -> None:
    routes = sorted(settings.routes, key=lambda route: len(route.prefix), reverse=True)
    if routes:
        output.table([(route.prefix, _target(route), _facts(route)) for route in routes])
    if settings.spa.upstream is not None:
        output.line(f"everything else goes to {settings.spa.upstream}, without a token (spa_upstream)")
    elif not routes:
        output.line("There are no routes.")


def _target(route: Route) -> str:
    return f"-> {route.upstream}{'' if route.strip_prefix else route.prefix}"


def _facts(route: Route) -> str:
    from bff.admin.explain_token import token_name  # `bff routes` is fast without the commands of operators

    facts = [f"token {token_name(route)}", f"csrf {route.csrf}", " ".join(route.methods)]
    if route.assertion is not None:
        facts.append(f"assertion for {route.assertion.audience}")
    if route.scopes:
        facts.append(f"scopes {' '.join(route.scopes)}")
    if route.websocket:
        facts.append("websocket")
    if route.ignore_case:
        facts.append("ignore_case")
    if route.access_rules is not None:
        facts.append(f"rules {' or '.join(rule.name for rule in route.access_rules.rules)}")
    return ", ".join(facts)
