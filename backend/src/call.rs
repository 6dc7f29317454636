//! One request as the endpoints see it: who calls, by what name, and what they send. Bodies are read only
//! when asked for, within a size and a time. Nothing but the gateway's `X-User-Id` ever says who calls.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use serde_json::error::Category;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::fields::{Fields, Form};
use crate::ids::{RequestId, UserId};
use crate::refusal::Refusal;

/// The most bytes a body may have: 20,000 characters of four bytes would not fit, of three they do.
const MAX_BODY: usize = 64 * 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How much of a body that is too large is read all the same, and for how long.
const READ_ON_BYTES: usize = 1024 * 1024;
const READ_ON: Duration = Duration::from_secs(1);

/// One request.
pub(crate) struct Call {
    /// What the request is called in answers and logs.
    pub(crate) id: RequestId,
    /// When it arrived.
    pub(crate) now: Timestamp,
    head: Parts,
    body: Incoming,
}

impl Call {
    pub(crate) fn new(request: Request<Incoming>, now: Timestamp) -> Self {
        let (head, body) = request.into_parts();
        Self { id: RequestId::adopt(head.headers.get("x-request-id")), now, head, body }
    }

    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The method, with HEAD taken for the GET that it is; hyper leaves its body away.
    pub(crate) fn method(&self) -> &Method {
        if self.head.method == Method::HEAD { &Method::GET } else { &self.head.method }
    }

    /// Who is calling, in the gateway's words. Two ids are none: one of them would be forged.
    pub(crate) fn caller(&self) -> Result<UserId, Refusal> {
        let mut ids = self.head.headers.get_all("x-user-id").iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) => id.to_str().ok().and_then(UserId::parse).ok_or(Refusal::NoIdentity),
            _ => Err(Refusal::NoIdentity),
        }
    }

    /// The query string, read as a form.
    pub(crate) fn query<F: Form>(&self) -> Result<F, Refusal> {
        Fields::from_query(self.head.uri.query().unwrap_or_default()).into_form()
    }

    /// The JSON body, read as a form.
    pub(crate) async fn read<F: Form>(self) -> Result<F, Refusal> {
        if !is_json(&self.head.headers) {
            return Err(Refusal::UnsupportedMediaType);
        }
        let bytes = timeout(BODY_DEADLINE, collect(self.body)).await.map_err(|_| Refusal::BodyTimedOut)??;
        let fields: Fields = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        fields.into_form()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The whole body. It may hold a password: it is wiped when dropped, and never moves while it grows.
async fn collect(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(MAX_BODY).min(MAX_BODY)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::MalformedBody("the body broke off".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue }; // trailers
        if bytes.len() + data.len() > MAX_BODY {
            return Err(too_large(body).await);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads on for a while: to close on someone who still writes would reset the connection, and they might
/// never see the refusal.
async fn too_large(mut body: Incoming) -> Refusal {
    let read_on = async {
        let mut left = READ_ON_BYTES;
        while let (Some(Ok(frame)), 1..) = (body.frame().await, left) {
            left = left.saturating_sub(frame.data_ref().map_or(1, bytes::Bytes::len));
        }
    };
    drop(timeout(READ_ON, read_on).await);
    Refusal::BodyTooLarge
}

/// serde's own message may quote the body, so only the place is told.
fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::MalformedBody(match error.classify() {
        Category::Data => "the body must be a JSON object".to_owned(),
        _ => format!("the body is not JSON: see line {}, column {}", error.line(), error.column()),
    })
}
