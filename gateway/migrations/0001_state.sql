-- State of one gateway. Moments and spans are microseconds; a row whose time is over means the same as no
-- row, and is swept later.

-- Only users whose state is not the default. Never swept: an epoch that fell back to zero would let
-- "log out everywhere" pass tokens that were issued under a higher one.
CREATE TABLE users (
    subject  TEXT    NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    disabled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    sid        TEXT    NOT NULL PRIMARY KEY,
    sub        TEXT    NOT NULL,
    roles      TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    token_hash BLOB    NOT NULL,
    rotated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    ip         TEXT    NOT NULL,
    user_agent TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_sub ON sessions (sub, created_at, sid);
CREATE INDEX sessions_by_expires_at ON sessions (expires_at);

-- Both `jti`s and `sid`s.
CREATE TABLE blacklist (
    id    TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blacklist_by_until ON blacklist (until);

-- `tat` is the theoretical arrival time (GCRA).
CREATE TABLE limits (
    scope TEXT    NOT NULL,
    name  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    tat   INTEGER NOT NULL,
    PRIMARY KEY (scope, name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_by_tat ON limits (tat);

-- `wait` is the delay that the last failure earned; from `forget_at` on the row means nothing.
CREATE TABLE login_failures (
    key       TEXT    NOT NULL PRIMARY KEY,
    failures  INTEGER NOT NULL,
    failed_at INTEGER NOT NULL,
    wait      INTEGER NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_failures_by_forget_at ON login_failures (forget_at);

CREATE TABLE keys (
    purpose    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    algorithm  TEXT    NOT NULL,
    material   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (purpose, name)
) STRICT, WITHOUT ROWID;
