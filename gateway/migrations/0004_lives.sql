-- How long gateways accept access tokens, in microseconds, and until when each such life counts.
CREATE TABLE lives (
    life  INTEGER NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lives_by_until ON lives (until);
