"""Observability: audit trail, metrics, traces and logs.

Owns: event and metric names, log formats, and the redaction of secrets from log lines.
Does not own: the moments at which something is recorded.
"""
