"""An event that a client can cause at will is recorded once a minute for each name."""

from bff.telemetry import audit_limit
from bff.telemetry.audit_limit import AuditLimit


def test_each_name_is_recorded_once_a_minute() -> None:
    limit = AuditLimit()
    assert [limit.allows(name, now) for name, now in (("a", 0), ("a", 59.9), ("b", 59.9), ("a", 60))] == [
        True,
        False,
        True,
        True,
    ]


def test_the_memory_is_bounded() -> None:
    limit = AuditLimit()
    for number in range(3 * audit_limit._REMEMBERED):
        assert limit.allows(number, 0.0)
    assert len(limit._recorded) <= audit_limit._REMEMBERED
