"""`bff routes` and `bff routes explain METHOD PATH`: how a request would be handled. Sends nothing."""

from pathlib import Path

import click

from bff.cli import exit_codes, output
from bff.cli.command_tree import CONTEXT
from bff.cli.options import settings_from, settings_source
from bff.config.routes import Route
from bff.config.settings import Settings


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
@settings_source
@click.pass_context
def explain(
    ctx: click.Context, method: str, path: str, headers: tuple[str, ...], config: Path | None, env_file: Path | None
) -> int:
    """Print which route a request matches, what is validated, and what is forwarded.

    The exit code is 0 if the BFF would forward the request, and 1 if not.
    """
    from bff.admin.explain_request import explain_request  # `bff routes` needs no web framework

    group = ctx.parent.params if ctx.parent is not None else {}
    settings = settings_from(config or group.get("config"), env_file or group.get("env_file"))
    explanation = explain_request(settings, method, path, headers)
    output.lines(explanation.lines)
    return exit_codes.OK if explanation.forwarded else exit_codes.FAILED


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
    facts = [f"token {route.token}", f"csrf {route.csrf}", " ".join(route.methods)]
    if route.scopes:
        facts.append(f"scopes {' '.join(route.scopes)}")
    if route.websocket:
        facts.append("websocket")
    if route.ignore_case:
        facts.append("ignore_case")
    return ", ".join(facts)
