//! Users: registration, the credential check that the gateway's login asks for, and what users may do with
//! their own account. Passwords are hashed between queries, never while one holds a connection.

use serde::Serialize;

use crate::app::App;
use crate::call::Call;
use crate::clock::Timestamp;
use crate::fields::{Fields, Flaw, Form, Noted};
use crate::hashing::{StoredHash, Verdict};
use crate::ids::UserId;
use crate::password::{NewPassword, Password};
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::{Changed, Credentials, NewUser};
use crate::user::{Change, Email, User, UserChange, Username};

const SAME_AS_NAME: &str = "must not be the username";

struct Registration {
    username: Username,
    password: NewPassword,
    email: Option<Email>,
}

impl Form for Registration {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let username = fields.required("username", Username::parse);
        let password = fields.required("password", NewPassword::parse);
        let email = fields.optional("email", Email::parse);
        let (username, password) = (username?, password?);
        if password.is(username.as_str()) {
            return fields.flaw("password", SAME_AS_NAME);
        }
        Ok(Self { username, password, email: email? })
    }
}

struct Login {
    /// `None` if no account could have such a name.
    username: Option<Username>,
    password: Password,
}

impl Form for Login {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let username = fields.required("username", |text| Ok(Username::parse(text).ok()));
        let password = fields.required("password", Password::parse);
        Ok(Self { username: username?, password: password? })
    }
}

struct PasswordChange {
    current: Password,
    new: NewPassword,
}

impl Form for PasswordChange {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let current = fields.required("current_password", Password::parse);
        let new = fields.required("new_password", NewPassword::parse);
        Ok(Self { current: current?, new: new? })
    }
}

impl Form for UserChange {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let username = fields.optional("username", Username::parse);
        let email = fields.change("email", Email::parse);
        Ok(Self { username: username?, email: email? })
    }
}

/// What the answer to a registration says.
#[derive(Serialize)]
struct Registered {
    id: UserId,
    username: String,
    email: Option<String>,
    created_at: Timestamp,
}

/// What the gateway learns from a login.
#[derive(Serialize)]
struct Authenticated {
    id: UserId,
    username: String,
    roles: Vec<String>,
}

#[derive(Serialize)]
struct Existence {
    exists: bool,
}

/// `POST /users`.
pub(crate) async fn register(app: &App, call: Call) -> Result<Reply, Refusal> {
    let now = call.now;
    let Registration { username, password, email } = call.read().await?;
    // Spares a hash where it can; the race for a name is decided below.
    if app.store.has_username(&username).await? {
        return Err(Refusal::UsernameTaken);
    }
    let password_hash = app.hashing.hash(password.into_password()).await?;
    let user = NewUser { username, email, password_hash };
    let user = app.store.add_user(&user, now).await?.ok_or(Refusal::UsernameTaken)?;
    let User { id, username, email, created_at, .. } = user;
    Ok(reply::created(&Registered { id, username, email, created_at }))
}

/// `POST /users/authenticate`. Unknown names cost the same work as wrong passwords.
pub(crate) async fn authenticate(app: &App, call: Call) -> Result<Reply, Refusal> {
    let Login { username, password } = call.read().await?;
    let known = match username {
        Some(username) => app.store.credentials_of(&username).await?,
        None => None,
    };
    let verdict = app.hashing.check(password, known.as_ref().map(|known| known.password_hash.clone())).await?;
    let (Some(known), Verdict::Right { renewed }) = (known, verdict) else {
        return Err(Refusal::InvalidCredentials);
    };
    if let Some(renewed) = renewed {
        renew(app, &known, &renewed).await;
    }
    let Credentials { id, username, roles, .. } = known;
    Ok(reply::ok(&Authenticated { id, username, roles }))
}

/// `GET /users/exists/{name}`.
pub(crate) async fn exists(app: &App, name: &str) -> Result<Reply, Refusal> {
    let exists = match Username::parse(name.to_owned()) {
        Ok(username) => app.store.has_username(&username).await?,
        Err(_) => false,
    };
    Ok(reply::ok(&Existence { exists }))
}

/// `GET /users/me`.
pub(crate) async fn show(app: &App, call: &Call) -> Result<Reply, Refusal> {
    let user = app.store.user(&call.caller()?).await?.ok_or(Refusal::UnknownUser)?;
    Ok(reply::ok(&user))
}

/// `PUT /users/me`: what is left out stays; `"email": null` removes it.
pub(crate) async fn change(app: &App, call: Call) -> Result<Reply, Refusal> {
    let (caller, now) = (call.caller()?, call.now);
    let change: UserChange = call.read().await?;
    let nothing = change.username.is_none() && change.email == Change::Keep;
    if nothing {
        return app.store.user(&caller).await?.map(|user| reply::ok(&user)).ok_or(Refusal::UnknownUser);
    }
    match app.store.change_user(&caller, &change, now).await? {
        Changed::Done(user) => Ok(reply::ok(&user)),
        Changed::UsernameTaken => Err(Refusal::UsernameTaken),
        Changed::UnknownUser => Err(Refusal::UnknownUser),
    }
}

/// `PUT /users/me/password`.
pub(crate) async fn change_password(app: &App, call: Call) -> Result<Reply, Refusal> {
    let (caller, now) = (call.caller()?, call.now);
    let PasswordChange { current, new } = call.read().await?;
    let known = app.store.credentials(&caller).await?.ok_or(Refusal::UnknownUser)?;
    if new.is(&known.username) {
        return Err(Refusal::InvalidFields(vec![Flaw { field: "new_password".to_owned(), message: SAME_AS_NAME }]));
    }
    if app.hashing.check(current, Some(known.password_hash)).await? == Verdict::Wrong {
        return Err(Refusal::WrongPassword);
    }
    let hash = app.hashing.hash(new.into_password()).await?;
    let changed = app.store.change_password(&caller, &hash, now).await?;
    changed.then(reply::no_content).ok_or(Refusal::UnknownUser)
}

/// `DELETE /users/me`, with all they wrote.
pub(crate) async fn remove(app: &App, call: &Call) -> Result<Reply, Refusal> {
    let removed = app.store.remove_user(&call.caller()?).await?;
    removed.then(reply::no_content).ok_or(Refusal::UnknownUser)
}

/// Keeps the better hash. Who knows the password is let in even if it can't be kept just now.
async fn renew(app: &App, known: &Credentials, renewed: &StoredHash) {
    if let Err(error) = app.store.renew_hash(&known.id, &known.password_hash, renewed).await {
        tracing::warn!(target: "error", user = known.id.as_str(), "a password hash could not be renewed: {error}");
    }
}
