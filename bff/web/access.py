"""Applies access rules to a session, and records every refusal."""

from bff.errors import ForbiddenByRule
from bff.session.access_rules import AccessRules
from bff.session.session_view import SessionView
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent


def check_access(rules: AccessRules, session: SessionView, now: float, *, place: str) -> None:
    """Raises ForbiddenByRule if none of the rules holds for the session.

    `now`: seconds since the epoch. `place` is what the rules protect, for the audit trail and the metric: the prefix of
    a route, or `/auth/verify`.
    """
    refusal = rules.refusal(session, now)
    if refusal is None:
        return
    metrics.FORBIDDEN_BY_RULE.labels(place).inc()
    unmet = "; ".join(f"{rule}: {', '.join(keys)}" for rule, keys in refusal.unmet.items())
    audit.record(AuditEvent.ACCESS_REFUSED, ForbiddenByRule.code, session=session, route=place, unmet=unmet)
    raise ForbiddenByRule(tuple(refusal.unmet), acr_values=refusal.acr_values, max_age=refusal.max_age)
