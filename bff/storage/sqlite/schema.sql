-- Session records are sealed; what stands beside them in the clear is only what the store itself must compare.
-- Times are seconds since the epoch. `user_version` is the number of this schema.
CREATE TABLE IF NOT EXISTS session (
    key          TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    write_id     TEXT NOT NULL,     -- names the content: a write repeated after an unknown outcome is recognised
    ends_at      REAL NOT NULL,
    last_seen_at REAL NOT NULL,
    record       BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS session_ends_at ON session (ends_at);

CREATE TABLE IF NOT EXISTS session_index (
    name TEXT NOT NULL,
    hash TEXT NOT NULL,             -- keyed: tells nobody who it is
    key  TEXT NOT NULL,
    PRIMARY KEY (name, hash, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_index_key ON session_index (key);

CREATE TABLE IF NOT EXISTS end_marker (
    name   TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    until  REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS claim (
    name  TEXT PRIMARY KEY,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Markers: read without being consumed, names keyed like those of the index.
CREATE TABLE IF NOT EXISTS mark (
    name  TEXT PRIMARY KEY,
    at    REAL NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Values that are taken once: sealed, under hashes of random names.
CREATE TABLE IF NOT EXISTS one_time_value (
    name  TEXT PRIMARY KEY,
    until REAL NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Tokens to be revoked: sealed; when each is due, and until when there is use in trying.
CREATE TABLE IF NOT EXISTS revocation (
    id       TEXT PRIMARY KEY,
    due_at   REAL NOT NULL,
    until    REAL NOT NULL,
    attempts INTEGER NOT NULL,
    record   BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS revocation_due_at ON revocation (due_at);

-- One row that `ping` writes: a full disk is seen before the first session is lost to it.
CREATE TABLE IF NOT EXISTS pulse (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at REAL NOT NULL
) STRICT;

PRAGMA application_id = 1111901729;
PRAGMA user_version = 1;
