//! The table of posts. The author's name always comes along in the same statement. Lists are read by place,
//! not by page number: what is written meanwhile neither repeats nor hides a post.

use super::{Store, StoreError, rows};
use crate::clock::Timestamp;
use crate::ids::{PostId, UserId};
use crate::post::{Author, Cursor, Draft, Listing, Post};

// RETURNING can't join, but it can look up; and only an author who exists makes a row.
const ADD: &str = "\
    INSERT INTO posts (id, user_id, title, content, created_at, updated_at)
    SELECT $1, users.id, $3, $4, $5, $5 FROM users WHERE users.id = $2
    RETURNING id, title, content, user_id, (SELECT username FROM users WHERE users.id = user_id), created_at, updated_at";
const FIND: &str = "\
    SELECT posts.id, title, content, user_id, username, posts.created_at, posts.updated_at
    FROM posts JOIN users ON users.id = user_id
    WHERE posts.id = $1";
const LIST: &str = "\
    SELECT posts.id, title, content, user_id, username, posts.created_at, posts.updated_at
    FROM posts JOIN users ON users.id = user_id
    WHERE (posts.created_at, posts.id) < ($1, $2)
    ORDER BY posts.created_at DESC, posts.id DESC
    LIMIT $3";
const LIST_BY_AUTHOR: &str = "\
    SELECT posts.id, title, content, user_id, username, posts.created_at, posts.updated_at
    FROM posts JOIN users ON users.id = user_id
    WHERE (posts.created_at, posts.id) < ($1, $2) AND user_id = $4
    ORDER BY posts.created_at DESC, posts.id DESC
    LIMIT $3";
const CHANGE: &str = "\
    UPDATE posts SET title = $3, content = $4, updated_at = $5
    WHERE id = $1 AND user_id = $2
    RETURNING id, title, content, user_id, (SELECT username FROM users WHERE users.id = user_id), created_at, updated_at";
const REMOVE: &str = "DELETE FROM posts WHERE id = $1 AND user_id = $2 RETURNING id";
const EXISTS: &str = "SELECT id FROM posts WHERE id = $1";

/// What became of a write to a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<T> {
    /// It was made.
    Done(T),
    /// The post is someone else's.
    NotOwner,
    /// There is no such post.
    Missing,
}

type PostRow = (String, String, String, String, String, i64, i64);
type IdRow = (String,);

impl Store {
    /// Adds a post under a new id. `None` if there is no such author.
    pub async fn add_post(&self, author: &UserId, draft: &Draft, now: Timestamp) -> Result<Option<Post>, StoreError> {
        let id = PostId::new();
        let Draft { title, content } = draft;
        let (title, content, now) = (title.as_str(), content.as_str(), now.as_millis());
        let rows = rows!(self, writer, PostRow, ADD, id.as_str(), author.as_str(), title, content, now)?;
        rows.into_iter().next().map(post_of).transpose()
    }

    /// The post of this id.
    pub async fn post(&self, id: &PostId) -> Result<Option<Post>, StoreError> {
        rows!(self, reader, PostRow, FIND, id.as_str())?.into_iter().next().map(post_of).transpose()
    }

    /// Posts, newest first, and the place to go on from if there are more.
    pub async fn posts(&self, listing: &Listing) -> Result<(Vec<Post>, Option<Cursor>), StoreError> {
        let limit = listing.limit.count();
        let Cursor { created_at, id } = listing.after.clone().unwrap_or_else(Cursor::start);
        let (millis, one_more) = (created_at.as_millis(), i64::try_from(limit + 1).unwrap_or(i64::MAX));
        let rows = match &listing.author {
            None => rows!(self, reader, PostRow, LIST, millis, &id, one_more),
            Some(author) => rows!(self, reader, PostRow, LIST_BY_AUTHOR, millis, &id, one_more, author.as_str()),
        }?;
        let mut posts = rows.into_iter().map(post_of).collect::<Result<Vec<Post>, StoreError>>()?;
        let more = posts.len() > limit;
        posts.truncate(limit);
        let next = posts.last().filter(|_| more).map(Cursor::after);
        Ok((posts, next))
    }

    /// Changes what a post says, if `author` wrote it.
    pub async fn change_post(
        &self,
        id: &PostId,
        author: &UserId,
        draft: &Draft,
        now: Timestamp,
    ) -> Result<Written<Post>, StoreError> {
        let Draft { title, content } = draft;
        let (title, content, now) = (title.as_str(), content.as_str(), now.as_millis());
        let rows = rows!(self, writer, PostRow, CHANGE, id.as_str(), author.as_str(), title, content, now)?;
        match rows.into_iter().next() {
            Some(row) => post_of(row).map(Written::Done),
            None => self.why_not_written(id).await,
        }
    }

    /// Removes a post, if `author` wrote it.
    pub async fn remove_post(&self, id: &PostId, author: &UserId) -> Result<Written<()>, StoreError> {
        match rows!(self, writer, IdRow, REMOVE, id.as_str(), author.as_str())?.as_slice() {
            [] => self.why_not_written(id).await,
            _ => Ok(Written::Done(())),
        }
    }

    async fn why_not_written<T>(&self, id: &PostId) -> Result<Written<T>, StoreError> {
        let missing = rows!(self, reader, IdRow, EXISTS, id.as_str())?.is_empty();
        Ok(if missing { Written::Missing } else { Written::NotOwner })
    }
}

fn post_of((id, title, content, user_id, username, created_at, updated_at): PostRow) -> Result<Post, StoreError> {
    Ok(Post {
        id: PostId::parse(&id).ok_or(StoreError::Corrupt("a post id that is none"))?,
        title,
        content,
        author: Author { id: UserId::parse(&user_id).ok_or(StoreError::Corrupt("a user id that is none"))?, username },
        created_at: Timestamp::from_millis(created_at),
        updated_at: Timestamp::from_millis(updated_at),
    })
}
