-- Times are milliseconds since the Unix epoch, ids are UUIDv7 in text, roles are a JSON array of strings.
CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    username      TEXT   NOT NULL,
    username_key  TEXT   NOT NULL UNIQUE, -- the username in lower case: names differ by more than case
    email         TEXT,
    roles         TEXT   NOT NULL DEFAULT '["user"]',
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE posts (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title      TEXT   NOT NULL,
    content    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The two orders that lists are read in; the second also finds the posts that go with their author.
CREATE INDEX posts_by_created_at ON posts (created_at DESC, id DESC);
CREATE INDEX posts_by_user_id ON posts (user_id, created_at DESC, id DESC);
