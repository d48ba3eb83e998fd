"""`bff doctor`: looks at everything a sign-in needs while it is live, and says what the operator does next.

Owns: the checks, each a small function that ends in a Finding, and the report. Used by the command line only.
Does not own: how the provider or a store is spoken to (`bff.provider`, `bff.storage`), nor what an app integration
should be (`bff.admin.okta`). Nothing here writes: no session, no key, no file, no token that could be used.
"""
