//! Login by upstream: the gateway has no user table. Limits and the delay after failures come first, then
//! an upstream checks the credentials, and its answer names the user. Credentials are passed on and
//! forgotten; they are never kept, logged or compared here.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use tracing::{info, warn};

use super::{Call, Endpoints};
use crate::config::{Login, LoginFormat};
use crate::cookies::Deliver;
use crate::csrf;
use crate::ids::{SessionId, Subject};
use crate::inbound::client::{X_FORWARDED_FOR, X_REQUEST_ID};
use crate::limiter::{Limiter, Uncounted, address_prefix};
use crate::overload::{Full, Rank, Room};
use crate::policy::Grants;
use crate::problem::Denied;
use crate::reply::Reply;
use crate::session::facts;
use crate::session::fields::Fields;
use crate::session::issue::TokenPair;
use crate::session::renewal::Device;
use crate::session::{Cap, Cause, Session};
use crate::store::Opening;
use crate::upstream::{CallError, Pool};

/// Checks credentials with an upstream.
pub struct LoginService {
    /// How, and how its answer is read.
    pub terms: Login,
    /// The upstream.
    pub pool: Arc<Pool>,
    /// How many sessions a user may have.
    pub cap: Option<Cap>,
    /// Room for those who wait for it.
    pub room: Room,
}

/// Who the upstream says it is.
struct Identified {
    subject: Subject,
    grants: Grants,
}

impl Endpoints {
    /// `POST /auth/login`: credentials for tokens, delivered as the configuration says.
    pub(super) async fn login(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let fields = Fields::read(call.request.headers, call.body)?;
        if let Some(cookies) = self.cookies().filter(|cookies| cookies.deliver.by_cookies()) {
            csrf::check_login(&call.request, cookies.target(call.permit.route()))?;
        }
        let pair = self.log_in(&fields, call).await?;
        self.deliver(pair, self.cookies().map_or(Deliver::Body, |cookies| cookies.deliver), call)
    }

    /// Opens a session for whom `fields` are the credentials of: limits, the delay after failures, the upstream.
    pub(super) async fn log_in(&self, fields: &Fields, call: &mut Call<'_>) -> Result<Arc<TokenPair>, Denied> {
        let service = self.login.as_ref().ok_or(Denied::NoRoute)?;
        let account = fields.text(&service.terms.account_field);
        let account = account.ok_or(Denied::BadBody("The field that names the account is missing."))?;
        let account = fingerprint(account);
        let takes = Limiter::by_account(&call.permit.route().limits, &account);
        self.auth.limiter.take(&takes, Uncounted::Refuse, call.now, &mut call.outgoing.readings).await?;

        let attempt = Attempt { endpoints: self, service, call, key: delay_key(&account, call) };
        attempt.wait_is_over().await?;
        let opened = match attempt.identify(fields).await {
            Ok(identified) => self.open(call, service.cap, identified).await,
            Err(denied) => Err(denied),
        };
        self.auth.metrics.login(opened.as_ref().map_or_else(Denied::reason, |_| "ok"));
        let session = opened?;
        let keys = self.auth.keyring.current()?;
        let pair = TokenPair::issue(&keys, &self.auth.tokens, &session, call.now)?;
        self.auth.metrics.token_issued();
        let Session { id, subject, .. } = &session;
        info!(target: "auth", %subject, session = %id, client = %call.request.client, "logged in");
        Ok(Arc::new(pair))
    }

    async fn open(&self, call: &Call<'_>, cap: Option<Cap>, identified: Identified) -> Result<Session, Denied> {
        let Identified { subject, grants } = identified;
        let Device { address, user_agent } = Device::of(&call.request);
        let id = SessionId::random(self.auth.store.partition(&subject));
        let session = Session {
            id,
            generation: 0,
            token_hash: self.auth.keyring.current()?.refresh.derive(id, 0).hash(),
            rotated_at: call.now,
            created_at: call.now,
            expires_at: self.auth.tokens.lifetimes.expiry(call.now, call.now),
            epoch: 0, // The store stamps the user's own.
            address,
            user_agent,
            subject: subject.clone(),
            grants,
        };
        self.check_size(&session)?;
        self.auth.follower.remind(&subject, id.partition(), self.memory(), call.now).await?;
        match self.auth.store.open(session, cap, self.memory()).await? {
            Opening::Opened { session, evicted } => {
                if evicted > 0 {
                    self.auth.metrics.sessions_ended(Cause::Evicted.name(), evicted);
                    info!(target: "auth", %subject, evicted, "sessions ended to make room for a login");
                }
                Ok(session)
            }
            Opening::Disabled => Err(Denied::UserDisabled),
            Opening::Full => {
                info!(target: "auth", %subject, client = %call.request.client, "login refused: too many sessions");
                Err(Denied::TooManySessions)
            }
        }
    }

    /// Whether the tokens of a session will fit into cookies, before it takes anybody's place. The epoch that the store
    /// will stamp has no more digits than the greatest.
    fn check_size(&self, session: &Session) -> Result<(), Denied> {
        let Some(cookies) = self.cookies().filter(|cookies| cookies.deliver.by_cookies()) else { return Ok(()) };
        let stamped = Session { epoch: u64::MAX, ..session.clone() };
        let keys = self.auth.keyring.current()?;
        let pair = TokenPair::issue(&keys, &self.auth.tokens, &stamped, session.created_at)?;
        cookies.set(&pair).map(|_| ()).map_err(|why| Denied::LoginUnusable(why.to_string()))
    }
}

/// One try to log in.
struct Attempt<'a> {
    endpoints: &'a Endpoints,
    service: &'a LoginService,
    call: &'a Call<'a>,
    key: String,
}

impl Attempt<'_> {
    async fn wait_is_over(&self) -> Result<(), Denied> {
        match self.endpoints.auth.store.login_delay(&self.key, self.call.now).await? {
            Duration::ZERO => Ok(()),
            wait => Err(Denied::LoginDelayed { wait }),
        }
    }

    /// Asks the upstream, and counts failures.
    async fn identify(&self, fields: &Fields) -> Result<Identified, Denied> {
        let store = &self.endpoints.auth.store;
        let terms = &self.service.terms;
        let answer = self.ask(fields).await?;
        match answer.status() {
            status if status.is_success() => {
                let identified = read_answer(terms, answer.body()).map_err(Denied::LoginUnusable)?;
                store.login_succeeded(&self.key).await?;
                Ok(identified)
            }
            StatusCode::TOO_MANY_REQUESTS => Err(Denied::LoginUnavailable("it answered 429".to_owned())),
            status if status.is_client_error() => {
                let wait = store.login_failed(&self.key, &terms.backoff, self.call.now).await?;
                let client = self.call.request.client;
                warn!(target: "auth", %client, delay_ms = wait.as_millis(), "login failed");
                Err(Denied::BadCredentials { status })
            }
            status if status == StatusCode::SERVICE_UNAVAILABLE => {
                Err(Denied::LoginUnavailable("it answered 503".to_owned()))
            }
            status => Err(Denied::LoginUnusable(format!("it answered {}", status.as_u16()))),
        }
    }

    async fn ask(&self, fields: &Fields) -> Result<http::Response<Bytes>, Denied> {
        self.service.send(&self.service.pool, &self.service.terms.path, fields, self.call).await
    }
}

impl LoginService {
    /// Posts credentials to `path`, and tells besides which request it is and where it comes from. Each costs the upstream
    /// a password hash, so they are few at once.
    pub(super) async fn send(
        &self,
        pool: &Pool,
        path: &str,
        credentials: &Fields,
        call: &Call<'_>,
    ) -> Result<http::Response<Bytes>, Denied> {
        let _place = self.room.enter(Rank::Stranger).ok_or(Denied::Overloaded(Full::Login))?;
        let (media_type, body) = match self.terms.format {
            LoginFormat::Json => ("application/json", credentials.to_json()),
            LoginFormat::Form => ("application/x-www-form-urlencoded", credentials.to_form()),
        };
        let value = |text: &str| HeaderValue::from_str(text).expect("ids and addresses are safe in headers");
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (X_REQUEST_ID, value(call.request_id.as_str())),
            (X_FORWARDED_FOR, value(&call.request.client.to_string())),
        ]);
        pool.post(path, &headers, body.into(), self.terms.timeout).await.map_err(|error| match error {
            CallError::Timeout => Denied::LoginTimeout,
            CallError::Unreachable => Denied::LoginUnavailable("no server could be reached".to_owned()),
            CallError::Broken | CallError::TooLarge => Denied::LoginUnusable(error.to_string()),
        })
    }
}

/// Failures count by account and address together, so that nobody can delay another's login.
fn delay_key(account: &str, call: &Call<'_>) -> String {
    format!("{account}:{}", address_prefix(call.request.client))
}

/// An account name as a key: any text becomes 22 safe characters, alike for names that differ in case.
fn fingerprint(account: &str) -> String {
    let hash = digest::digest(&digest::SHA256, account.trim().to_lowercase().as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// Who the upstream's answer names, by the JSON pointers of the configuration.
fn read_answer(terms: &Login, body: &[u8]) -> Result<Identified, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON".to_owned())?;
    let facts = match &terms.token {
        None => answer,
        Some(pointer) => claims_of(answer.pointer(pointer).and_then(Value::as_str), pointer)?,
    };
    let subject = match facts.pointer(&terms.subject) {
        Some(Value::String(text)) => Subject::parse(text).map_err(|why| format!("its subject can't be used: {why}"))?,
        // Past 64 bits a JSON number is read as a float, in which two users may look alike.
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => {
            Subject::parse(&number.to_string()).map_err(|why| why.to_string())?
        }
        _ => return Err(format!("it has no subject at {}", terms.subject)),
    };
    let grants = facts::grants(&facts, terms.roles.as_deref(), terms.scopes.as_deref())?;
    Ok(Identified { subject, grants })
}

/// The claims of a JWT in the answer. Its signature is not checked: it came from the upstream itself over
/// the connection that the gateway made, as OpenID Connect Core §3.1.3.7 allows.
fn claims_of(token: Option<&str>, pointer: &str) -> Result<Value, String> {
    let unreadable = || format!("it has no readable JWT at {pointer}");
    let claims = token.and_then(|token| token.split('.').nth(1)).ok_or_else(unreadable)?;
    let bytes = URL_SAFE_NO_PAD.decode(claims).map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests;
