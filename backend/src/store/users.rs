//! The table of users. Names are unique by `username_key`; whoever loses a race for a name learns it from the
//! constraint, not from a look beforehand.

use super::{Store, StoreError, rows};
use crate::clock::Timestamp;
use crate::hashing::StoredHash;
use crate::ids::UserId;
use crate::user::{Change, Email, User, UserChange, Username};

const ADD: &str = "\
    INSERT INTO users (id, username, username_key, email, password_hash, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $6)
    ON CONFLICT (username_key) DO NOTHING
    RETURNING id, username, email, roles, created_at, updated_at";
const FIND: &str = "SELECT id, username, email, roles, created_at, updated_at FROM users WHERE id = $1";
const EXISTS: &str = "SELECT id FROM users WHERE username_key = $1";
const CREDENTIALS_OF: &str = "SELECT id, username, roles, password_hash FROM users WHERE username_key = $1";
const CREDENTIALS: &str = "SELECT id, username, roles, password_hash FROM users WHERE id = $1";
const CHANGE: &str = "\
    UPDATE users
    SET username = COALESCE($2, username), username_key = COALESCE($3, username_key),
        email = CASE WHEN $4 THEN $5 ELSE email END, updated_at = $6
    WHERE id = $1
    RETURNING id, username, email, roles, created_at, updated_at";
const CHANGE_PASSWORD: &str = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1 RETURNING id";
const RENEW_HASH: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 RETURNING id";
const REMOVE: &str = "DELETE FROM users WHERE id = $1 RETURNING id";

/// Someone who registers.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to sign in with.
    pub username: Username,
    /// Where to write to.
    pub email: Option<Email>,
    /// Their password, hashed.
    pub password_hash: StoredHash,
}

/// What it takes to check a password, and what to say once it was right.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Whose they are.
    pub id: UserId,
    /// The name, as its owner spelled it.
    pub username: String,
    /// What the user may be.
    pub roles: Vec<String>,
    /// The password, hashed.
    pub password_hash: StoredHash,
}

/// What became of a change to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made; this is the user now.
    Done(User),
    /// Somebody else has the name.
    UsernameTaken,
    /// There is no such user.
    UnknownUser,
}

type UserRow = (String, String, Option<String>, String, i64, i64);
type CredentialsRow = (String, String, String, String);
type IdRow = (String,);

impl Store {
    /// Adds a user under a new id. `None` if the name is taken.
    pub async fn add_user(&self, user: &NewUser, now: Timestamp) -> Result<Option<User>, StoreError> {
        let NewUser { username, email, password_hash } = user;
        let (id, key) = (UserId::new(), username.key());
        let email = email.as_ref().map(Email::as_str);
        let (id, username, hash) = (id.as_str(), username.as_str(), password_hash.expose());
        let rows = rows!(self, writer, UserRow, ADD, id, username, &key, email, hash, now.as_millis())?;
        one(rows, user_of)
    }

    /// The user of this id.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        one(rows!(self, reader, UserRow, FIND, id.as_str())?, user_of)
    }

    /// Whether somebody has this name, in any case.
    pub async fn has_username(&self, username: &Username) -> Result<bool, StoreError> {
        Ok(!rows!(self, reader, IdRow, EXISTS, username.key())?.is_empty())
    }

    /// The credentials of whoever has this name, in any case.
    pub async fn credentials_of(&self, username: &Username) -> Result<Option<Credentials>, StoreError> {
        one(rows!(self, reader, CredentialsRow, CREDENTIALS_OF, username.key())?, credentials_of)
    }

    /// The credentials of the user of this id.
    pub async fn credentials(&self, id: &UserId) -> Result<Option<Credentials>, StoreError> {
        one(rows!(self, reader, CredentialsRow, CREDENTIALS, id.as_str())?, credentials_of)
    }

    /// Changes a user's name or address.
    pub async fn change_user(&self, id: &UserId, change: &UserChange, now: Timestamp) -> Result<Changed, StoreError> {
        let name = change.username.as_ref().map(Username::as_str);
        let key = change.username.as_ref().map(Username::key);
        let (sets_email, email) = match &change.email {
            Change::Keep => (false, None),
            Change::Clear => (true, None),
            Change::Set(email) => (true, Some(email.as_str())),
        };
        let (id, now) = (id.as_str(), now.as_millis());
        match rows!(self, writer, UserRow, CHANGE, id, name, key.as_deref(), sets_email, email, now) {
            Err(error) if error.is_unique_violation() => Ok(Changed::UsernameTaken),
            rows => Ok(one(rows?, user_of)?.map_or(Changed::UnknownUser, Changed::Done)),
        }
    }

    /// Replaces a password. `false` if there is no such user.
    pub async fn change_password(&self, id: &UserId, hash: &StoredHash, now: Timestamp) -> Result<bool, StoreError> {
        let rows = rows!(self, writer, IdRow, CHANGE_PASSWORD, id.as_str(), hash.expose(), now.as_millis())?;
        Ok(!rows.is_empty())
    }

    /// Replaces a hash by another of the same password. `false` if the hash was replaced meanwhile: a new
    /// password must not be undone.
    pub async fn renew_hash(&self, id: &UserId, old: &StoredHash, new: &StoredHash) -> Result<bool, StoreError> {
        let rows = rows!(self, writer, IdRow, RENEW_HASH, id.as_str(), old.expose(), new.expose())?;
        Ok(!rows.is_empty())
    }

    /// Removes a user with all they wrote. `false` if there is no such user.
    pub async fn remove_user(&self, id: &UserId) -> Result<bool, StoreError> {
        Ok(!rows!(self, writer, IdRow, REMOVE, id.as_str())?.is_empty())
    }
}

fn one<R, T>(mut rows: Vec<R>, read: fn(R) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    rows.pop().map(read).transpose()
}

fn user_of((id, username, email, roles, created_at, updated_at): UserRow) -> Result<User, StoreError> {
    Ok(User {
        id: id_of(&id)?,
        username,
        email,
        roles: roles_of(&roles)?,
        created_at: Timestamp::from_millis(created_at),
        updated_at: Timestamp::from_millis(updated_at),
    })
}

fn credentials_of((id, username, roles, hash): CredentialsRow) -> Result<Credentials, StoreError> {
    Ok(Credentials { id: id_of(&id)?, username, roles: roles_of(&roles)?, password_hash: StoredHash::new(hash) })
}

fn id_of(text: &str) -> Result<UserId, StoreError> {
    UserId::parse(text).ok_or(StoreError::Corrupt("a user id that is none"))
}

fn roles_of(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Corrupt("roles that are no JSON array of strings"))
}
