-- When the newest token of a session was issued, if that was before it was last rotated: a clock was set back since.
ALTER TABLE sessions ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
