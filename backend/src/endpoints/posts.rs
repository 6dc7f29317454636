//! Posts: anyone may read what the gateway lets through, users may write, and only the author may change or
//! delete.

use serde::Serialize;

use crate::app::App;
use crate::call::Call;
use crate::fields::{Fields, Form, Noted};
use crate::ids::{PostId, UserId};
use crate::post::{Content, Cursor, Draft, Limit, Listing, Post, Title};
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::Written;

#[derive(Serialize)]
struct Page {
    items: Vec<Post>,
    next: Option<String>,
}

impl Form for Draft {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let title = fields.required("title", Title::parse);
        let content = fields.required("content", Content::parse);
        Ok(Self { title: title?, content: content? })
    }
}

impl Form for Listing {
    fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let limit = fields.optional("limit", |text| Limit::parse(&text));
        let after = fields.optional("after", |text| Cursor::parse(&text));
        let author = fields.optional("author", |text| UserId::parse(&text).ok_or("must be a user's id"));
        Ok(Self { limit: limit?.unwrap_or_default(), after: after?, author: author? })
    }
}

/// `GET /posts?limit&after&author`: newest first.
pub(crate) async fn list(app: &App, call: &Call) -> Result<Reply, Refusal> {
    let listing: Listing = call.query()?;
    let (items, next) = app.store.posts(&listing).await?;
    Ok(reply::ok(&Page { items, next: next.map(|place| place.encode()) }))
}

/// `POST /posts`.
pub(crate) async fn write(app: &App, call: Call) -> Result<Reply, Refusal> {
    let (caller, now) = (call.caller()?, call.now);
    let draft: Draft = call.read().await?;
    let post = app.store.add_post(&caller, &draft, now).await?.ok_or(Refusal::UnknownUser)?;
    Ok(reply::created_at(&format!("/posts/{}", post.id.as_str()), &post))
}

/// `GET /posts/{id}`.
pub(crate) async fn show(app: &App, id: &str) -> Result<Reply, Refusal> {
    let post = app.store.post(&named(id)?).await?.ok_or(Refusal::NotFound)?;
    Ok(reply::ok(&post))
}

/// `PUT /posts/{id}`, by its author.
pub(crate) async fn change(app: &App, id: &str, call: Call) -> Result<Reply, Refusal> {
    let (id, caller, now) = (named(id)?, call.caller()?, call.now);
    let draft: Draft = call.read().await?;
    let post = owned(app.store.change_post(&id, &caller, &draft, now).await?)?;
    Ok(reply::ok(&post))
}

/// `DELETE /posts/{id}`, by its author.
pub(crate) async fn remove(app: &App, id: &str, call: &Call) -> Result<Reply, Refusal> {
    let (id, caller) = (named(id)?, call.caller()?);
    owned(app.store.remove_post(&id, &caller).await?)?;
    Ok(reply::no_content())
}

fn named(id: &str) -> Result<PostId, Refusal> {
    PostId::parse(id).ok_or(Refusal::NotFound)
}

fn owned<T>(written: Written<T>) -> Result<T, Refusal> {
    match written {
        Written::Done(value) => Ok(value),
        Written::NotOwner => Err(Refusal::NotOwner),
        Written::Missing => Err(Refusal::NotFound),
    }
}
