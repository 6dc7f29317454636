-- What was revoked, in order: the last word on each token, session and user. `seq` only grows and is never given out
-- again, so a reader has everything if it has all rows up to the last one. From `until` on a row means nothing; that
-- of a disabled user has no end. `epoch` and `disabled` are a user's.
CREATE TABLE revocations (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    until    INTEGER NOT NULL,
    epoch    INTEGER NOT NULL DEFAULT 0,
    disabled INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
) STRICT;
CREATE INDEX revocations_by_until ON revocations (until);

-- Which of the two an id was for had not been noted; both are random, so none is taken for another.
INSERT INTO revocations (kind, name, until) SELECT 'token', id, until FROM blacklist;
INSERT INTO revocations (kind, name, until) SELECT 'session', id, until FROM blacklist;
-- An epoch is the moment at which it was raised; a day is longer than tokens live.
INSERT INTO revocations (kind, name, until, epoch, disabled)
    SELECT 'user', subject, iif(disabled, 9223372036854775807, epoch + 86400000000), epoch, disabled FROM users;
DROP TABLE blacklist;
