"""The command line: one command tree, one file for each command.

Owns arguments, output (`output`) and exit codes (`exit_codes`). The entry point is `bff.cli.main.main`.
Does not own what a command does: `bff.app`, `bff.server` and `bff.admin` do.
"""
