-- Session records are sealed; plain columns hold only what the store itself compares.
-- Times are in seconds since the epoch. `user_version` is the number of this schema.
CREATE TABLE IF NOT EXISTS session (
    key          TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    write_id     TEXT NOT NULL,     -- identifies the content, so that a repeated write is recognised
    ends_at      REAL NOT NULL,
    last_seen_at REAL NOT NULL,
    record       BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS session_ends_at ON session (ends_at);

CREATE TABLE IF NOT EXISTS session_index (
    name TEXT NOT NULL,
    hash TEXT NOT NULL,             -- keyed hash of a personal value
    key  TEXT NOT NULL,
    PRIMARY KEY (name, hash, key)
) STRICT, WITHOUT ROWID;
-- Of earlier versions: the entries of a session are known from its record.
DROP INDEX IF EXISTS session_index_key;

CREATE TABLE IF NOT EXISTS end_reason (
    name   TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    until  REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS claim (
    name  TEXT PRIMARY KEY,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Markers: not consumed by reading; names hashed like index values.
CREATE TABLE IF NOT EXISTS marker (
    name  TEXT PRIMARY KEY,
    at    REAL NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- One-time values: sealed, under hashes of random names.
CREATE TABLE IF NOT EXISTS one_time_value (
    name  TEXT PRIMARY KEY,
    until REAL NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS one_time_value_until ON one_time_value (until);

-- Tokens to be revoked, sealed. `due_at` is the time of the next attempt, `until` the end of all attempts.
CREATE TABLE IF NOT EXISTS revocation (
    id       TEXT PRIMARY KEY,
    due_at   REAL NOT NULL,
    until    REAL NOT NULL,
    attempts INTEGER NOT NULL,
    record   BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS revocation_due_at ON revocation (due_at);
CREATE INDEX IF NOT EXISTS revocation_new ON revocation (due_at) WHERE attempts = 0;
CREATE INDEX IF NOT EXISTS revocation_until ON revocation (until);

-- One row that `ping` writes, so that a full disk is noticed before a session write fails.
CREATE TABLE IF NOT EXISTS write_probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at REAL NOT NULL
) STRICT;

PRAGMA application_id = 1111901729;
PRAGMA user_version = 1;
