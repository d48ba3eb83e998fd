"""The command line: one command tree, one file for each command.

Owns: arguments, output and exit codes. The entry point is `bff.cli.main.main`.
Does not own: what a command does; that is in `bff.app`, `bff.server` and `bff.admin`.
"""
