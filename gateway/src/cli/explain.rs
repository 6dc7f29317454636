//! `portcullis explain`: what would happen to a request, from the same parts that would do it: the path is
//! read, the route found, the token verified and the policy asked as `admit` does. Nothing is sent, and no
//! limit is taken; opening a store to verify a token makes the store, and its keys, where there are none.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};

use super::{Ending, block_on, complain, print, routes};
use crate::app;
use crate::auth::keyring::Keyring;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::ids::{Jti, Partition, PartitionCount, Role, Scope, SessionId, Subject};
use crate::inbound::{host, path};
use crate::limit::{Limit, LimitBy};
use crate::policy::{Caller, Grants, Known, Permit, Policy};
use crate::problem::{Denied, Problem};
use crate::routing::{Found, Route, RouteTable, Target};
use crate::store::{Check, Standing};

#[derive(Args)]
pub(super) struct Question {
    /// The method, such as GET.
    method: String,
    /// The URL, or only its path.
    url: String,
    /// The access token that the request carries.
    #[arg(long, conflicts_with_all = ["subject", "roles", "scopes"], env = "PORTCULLIS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Suppose that the request carries a good token of this user.
    #[arg(long = "as", value_name = "SUBJECT")]
    subject: Option<String>,
    /// The roles of that user, parted by commas.
    #[arg(long, value_delimiter = ',', requires = "subject")]
    roles: Vec<String>,
    /// The scopes of that user, parted by commas.
    #[arg(long, value_delimiter = ',', requires = "subject")]
    scopes: Vec<String>,
}

/// A row of the answer.
fn row(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name:8}  {value}");
}

impl Question {
    pub(super) fn answer(&self, config: &Config) -> Ending {
        let mut text = String::new();
        match self.walk(config, &mut text) {
            Ok(outcome) => row(&mut text, "outcome", outcome),
            Err(Stop::Denied(denied)) => {
                let problem = Problem::from(&denied);
                row(&mut text, "outcome", format!("{} {}: {denied}", problem.status().as_u16(), problem.reason()));
            }
            Err(Stop::BadInput(why)) => {
                complain(&why);
                return Ending::BadInput;
            }
        }
        print(&text);
        Ending::Well
    }

    /// The way of the request, written into `text` as far as it comes.
    fn walk(&self, config: &Config, text: &mut String) -> Result<String, Stop> {
        let method: Method = self.method.to_uppercase().parse().map_err(|_| Stop::bad("that is no HTTP method"))?;
        let uri: Uri = self.url.parse().map_err(|_| Stop::bad("that is no URL and no path"))?;
        let canonical = path::canonical(uri.path()).map_err(Denied::from)?;
        row(text, "request", format_args!("{method} {canonical}"));
        let table = RouteTable::new(config.routes.clone());
        let headers = HeaderMap::new();
        let authority = host::authority(Some(uri.authority().map_or("localhost", Authority::as_str)), &headers);
        let authority = authority.map_err(Denied::from)?;
        let route = match table.find(host::name(&authority), &canonical, &method) {
            Found::Route(route) => route,
            Found::OtherMethods(allowed) => return Err(Denied::MethodNotAllowed { allowed }.into()),
            Found::Ambiguous(oddity) => return Err(Denied::from(oddity.refusal()).into()),
            Found::Nothing => return Err(Denied::NoRoute.into()),
        };
        row(
            text,
            "route",
            format_args!("{} (host {}, path {}, methods {})", route.id, route.host, route.path, route.methods),
        );
        for limit in &route.limits {
            row(text, "limit", describe_limit(limit));
        }
        if let Some(cors) = &route.cors {
            row(text, "cors", &cors.id);
        }
        if !route.accept.is_empty() {
            row(text, "accepts", routes::accepted(route));
        }
        row(text, "policy", routes::policy(&route.policy));
        if let Some(revokes) = &route.revokes {
            row(text, "ends", format_args!("{revokes}, if it succeeds"));
        }
        let caller = self.caller(config, route)?;
        row(text, "caller", caller.known().map_or("anonymous", |known| known.subject.as_str()));
        let permit = Policy::permit(route, caller)?;
        Ok(describe_passage(&permit, &method, &canonical))
    }

    fn caller(&self, config: &Config, route: &Route) -> Result<Caller, Stop> {
        if !route.policy.reads_credentials() {
            return Ok(Caller::Anonymous);
        }
        match (&self.token, &self.subject) {
            (Some(token), _) => block_on(verified(config, token, Clock::system().now())),
            (None, Some(subject)) => self.supposed(subject),
            (None, None) if route.policy.needs_credentials() => Err(Denied::NoCredential.into()),
            (None, None) => Ok(Caller::Anonymous),
        }
    }

    fn supposed(&self, subject: &str) -> Result<Caller, Stop> {
        let bad = |what: &'static str| move |why| Stop::BadInput(format!("{what} can't be used: {why}"));
        let subject = Subject::parse(subject).map_err(bad("the subject"))?;
        let roles = self.roles.iter().map(|role| Role::parse(role)).collect::<Result<_, _>>();
        let scopes = self.scopes.iter().map(|scope| Scope::parse(scope)).collect::<Result<_, _>>();
        let now = Clock::system().now();
        Ok(Caller::Known(Arc::new(Known {
            sid: SessionId::random(Partition::of(&subject, PartitionCount::ONE)),
            jti: Jti::random(),
            epoch: 0,
            subject,
            grants: Grants { roles: roles.map_err(bad("a role"))?, scopes: scopes.map_err(bad("a scope"))? },
            authenticated_at: now,
            issued_at: now,
            expires_at: now,
        })))
    }
}

/// Verifies a token with the configured keys, and asks the store whether it was revoked.
async fn verified(config: &Config, token: &str, now: Timestamp) -> Result<Caller, Stop> {
    let store = app::open_store(&config.store).await.map_err(Denied::from)?;
    let keyring = Keyring::default();
    keyring.load(&*store, &config.tokens, now).await.map_err(|error| Stop::BadInput(error.to_string()))?;
    let keys = keyring.current().map_err(Denied::from)?;
    let verified = keys.verifier.verify(token, now).map_err(Denied::from)?;
    let known = verified.known();
    let check = Check { subject: &known.subject, sid: known.sid, jti: known.jti, epoch: known.epoch, takes: &[] };
    match store.check(&check, now).await.map_err(Denied::from)? {
        Standing::Good(_) => Ok(Caller::Known(Arc::clone(known))),
        Standing::Revoked => Err(Denied::Revoked.into()),
    }
}

fn describe_limit(limit: &Limit) -> String {
    let by = match limit.by {
        LimitBy::User => "each user",
        LimitBy::Address => "each address",
        LimitBy::Account => "each account name",
        LimitBy::Route => "all together",
    };
    let interval_ms = limit.quota.interval_micros() / 1000;
    format!("{}: {by} may send {} at once, then one every {interval_ms} ms", limit.id, limit.quota.burst())
}

fn describe_passage(permit: &Permit, method: &Method, path: &str) -> String {
    let route = permit.route();
    let to = match &route.target {
        Target::Endpoint(_) => return "passes; this gateway answers itself".to_owned(),
        Target::Upstream { id, rewrite } => {
            let path = rewrite.as_ref().map_or_else(|| path.to_owned(), |rewrite| rewrite.apply(&route.path, path));
            format!("passes; forwarded to {id} as {method} {path}")
        }
    };
    match permit.caller().known() {
        None => format!("{to} without X-User-Id"),
        Some(known) => {
            let roles: Vec<&str> = known.grants.roles.iter().map(Role::as_str).collect();
            let roles = if roles.is_empty() { String::new() } else { format!(", X-User-Roles: {}", roles.join(",")) };
            format!("{to} with X-User-Id: {}{roles}", known.subject)
        }
    }
}

/// Why the way ends.
enum Stop {
    Denied(Denied),
    BadInput(String),
}

impl Stop {
    fn bad(why: &str) -> Self {
        Self::BadInput(why.to_owned())
    }
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}
