"""What all replicas share."""

from dataclasses import dataclass, field, replace

from bff.session.revocation import Revocation
from bff.session.session import EndReason, Session, SessionKey
from tests.proof.simulation.invariants import Invariants
from tests.proof.simulation.loop import SimulatedLoop

EPOCH = 1_900_000_000.0


@dataclass(slots=True)
class Row:
    version: int
    write_id: str
    record: bytes
    session: Session
    last_seen_at: float
    written_at: float
    before: "Row | None" = None  # what a failover may bring back


@dataclass(slots=True)
class Database:
    loop: SimulatedLoop
    invariants: Invariants
    rows: dict[SessionKey, Row] = field(default_factory=dict)
    graves: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    ends: dict[str, EndReason] = field(default_factory=dict)
    queue: dict[str, tuple[float, Revocation]] = field(default_factory=dict)  # when each is due
    down_until: float = 0.0

    def now(self) -> float:
        return EPOCH + self.loop.time()

    @property
    def down(self) -> bool:
        return self.loop.time() < self.down_until

    def create(self, session: Session, write_id: str, record: bytes) -> bool:
        row = self.rows.get(session.key)
        if row is not None:
            return row.write_id == write_id
        self.rows[session.key] = Row(session.version, write_id, record, session, self.now(), self.now())
        return True

    def get(self, key: SessionKey) -> tuple[float, Row | None]:
        row = self.rows.get(key)
        return self.now(), None if row is None else replace(row, before=None)

    def replace(self, session: Session, expected: int, write_id: str, record: bytes, by: str) -> tuple[float, bool]:
        row = self.rows.get(session.key)
        if row is None:
            return self.now(), False
        if row.write_id == write_id:
            return self.now(), True
        if row.version != expected:
            return self.now(), False
        before = replace(row, before=None)
        self.rows[session.key] = Row(
            session.version, write_id, record, session, row.last_seen_at, self.now(), before=before
        )
        self.invariants.written(before.session, session, by)
        return self.now(), True

    def touch(self, key: SessionKey, last_seen_at: float) -> None:
        row = self.rows.get(key)
        if row is not None:
            row.last_seen_at = max(row.last_seen_at, last_seen_at)

    def delete(self, key: SessionKey, reason: EndReason, expected: int | None, op: str) -> tuple[int, bytes] | None:
        if op in self.graves:
            return self.graves[op]
        row = self.rows.get(key)
        if row is None or (expected is not None and row.version != expected):
            return None
        del self.rows[key]
        self.graves[op] = row.version, row.record
        self.ends[key] = reason
        self.invariants.deleted(row.session, reason, row.last_seen_at)
        return self.graves[op]

    def add_revocation(self, revocation: Revocation) -> bool:
        self.queue.setdefault(revocation.id, (self.now(), revocation))
        return True

    def claim_revocations(self, count: int, lease: float) -> list[Revocation]:
        now = self.now()
        due = [name for name, (at, _) in self.queue.items() if at <= now][:count]
        for name in due:
            revocation = self.queue[name][1]
            self.queue[name] = now + lease, replace(revocation, attempts=revocation.attempts + 1)
        return [self.queue[name][1] for name in due]

    def postpone_revocation(self, revocation_id: str, seconds: float) -> None:
        if revocation_id in self.queue:
            self.queue[revocation_id] = self.now() + seconds, self.queue[revocation_id][1]

    def fail_over(self, lag: float, down_for: float) -> None:
        """A replica takes over that lacks the last write of each record written less than `lag` seconds ago."""
        self.down_until = self.loop.time() + down_for
        for key, row in self.rows.items():
            if row.before is not None and row.written_at > self.now() - lag:
                lost = row.session
                self.rows[key] = replace(row.before, last_seen_at=row.last_seen_at)
                self.invariants.rolled_back(lost, row.before.session)
