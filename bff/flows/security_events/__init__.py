"""Security events (Shared Signals): tokens that arrive by push or poll, and what they do to sessions.

Owns: the validation with current keys, that each token counts once, the actions, and the polls.
Does not own: the form of a token (`bff.oidc.security_event_token`), HTTP (`bff.web.auth`, `bff.provider`), or how
sessions end (`bff.flows.logout`).
"""
