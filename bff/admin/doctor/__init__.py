"""`bff doctor`: checks every system that a sign-in needs, and says what to do next.

Owns the checks, each a function that returns CheckResults, and the report. Used by the command line only. Does not own
the provider and store clients (`bff.provider`, `bff.storage`) or the desired app integration (`bff.admin.okta`). Checks
write nothing: no session, key or file, and no usable token.
"""
