//! Asks the login upstream again about a user whose session is renewed: what they may do by now, and whether
//! they are still there. It relies on a read route of that upstream. What follows from the answer is for the
//! rotation (`renewal.rs`); nothing here ends a session.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::facts;
use crate::config;
use crate::identity;
use crate::ids::Subject;
use crate::policy::Grants;
use crate::upstream::{CallError, Pool};

/// Asks about users.
pub struct Recheck {
    /// Where, and how the answer is read.
    pub terms: config::Recheck,
    /// The login upstream.
    pub pool: Arc<Pool>,
}

/// What the upstream says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are there, and may do this.
    Known(Grants),
    /// They are gone, or disabled.
    Gone,
    /// It gave no answer.
    Unknown(String),
    /// It answered, but nobody can tell what. Users may have a say in what is there, so it is not taken for good.
    Unusable(String),
}

impl Recheck {
    /// What the upstream says of `subject` now.
    pub async fn standing(&self, subject: &Subject) -> Standing {
        let config::Recheck { path, timeout, .. } = &self.terms;
        if path.contains("{subject}") && matches!(subject.as_str(), "." | "..") {
            return Standing::Unusable("its subject can't be a segment of a path".to_owned());
        }
        let path = path.replace("{subject}", &utf8_percent_encode(subject.as_str(), NON_ALPHANUMERIC).to_string());
        let headers =
            HeaderMap::from_iter([identity::naming(subject), (ACCEPT, HeaderValue::from_static("application/json"))]);
        match self.pool.get(&path, &headers, *timeout).await {
            Ok(answer) => self.read(answer.status(), answer.body()),
            Err(error @ CallError::TooLarge) => Standing::Unusable(error.to_string()),
            Err(error) => Standing::Unknown(error.to_string()),
        }
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Standing {
        if self.terms.gone.contains(&status.as_u16()) {
            return Standing::Gone;
        }
        if !status.is_success() {
            return Standing::Unknown(format!("it answered {}", status.as_u16()));
        }
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            return Standing::Unusable("it is not JSON".to_owned());
        };
        let config::Recheck { roles, scopes, disabled, .. } = &self.terms;
        match disabled.as_deref().and_then(|pointer| answer.pointer(pointer)) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => return Standing::Gone,
            Some(_) => return Standing::Unusable("whether the user is disabled is neither true nor false".to_owned()),
        }
        facts::grants(&answer, roles.as_deref(), scopes.as_deref()).map_or_else(Standing::Unusable, Standing::Known)
    }
}
