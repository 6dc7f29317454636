-- Why a user's epoch was last raised; null if it never was, or before this was noted.
ALTER TABLE users ADD COLUMN cause TEXT;

-- Why sessions ended, for whoever still holds a refresh token of one; from `until` on it had ended by itself.
CREATE TABLE ended (
    sid   TEXT    NOT NULL PRIMARY KEY,
    cause TEXT    NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_by_until ON ended (until);
