//! The pages for people at work: signing in with a form, and being sent there. A form is held to the same
//! limits, delay and checks as `POST /auth/login`, by the same code; its tokens travel in cookies. What a
//! page looks like is for `crate::pages`, what went wrong for [`Denied`].

use std::sync::Arc;

use http::HeaderValue;
use http::header::VARY;

use super::{Call, Endpoints};
use crate::auth::VerifyError;
use crate::config;
use crate::csrf;
use crate::inbound::path::with_query;
use crate::inbound::{Inbound, navigation};
use crate::pages::{self, Language, Pages, ReturnTo, SignIn, Trouble};
use crate::policy::Caller;
use crate::problem::{Denied, Problem};
use crate::reply::{self, Reply};
use crate::routing::{Endpoint, Route, Target, Unauthenticated};
use crate::session::Cause;
use crate::session::fields::Fields;
use crate::session::issue::TokenPair;
use crate::upstream::Upstreams;

mod registration;
mod sessions;

use registration::Registration;

/// Shows pages to people.
pub struct PageService {
    pages: Pages,
    registration: Option<Registration>,
}

impl PageService {
    /// Puts pages to work.
    pub fn new(terms: &config::Pages, upstreams: &Upstreams) -> Self {
        let registration = terms.register.as_ref().and_then(|route| Registration::of(route, upstreams));
        Self { pages: Pages::new(terms.terms.clone()), registration }
    }

    fn sign_in_page(&self, asked: &Asked, request: &Inbound<'_>, trouble: Option<&Told<'_>>) -> Reply {
        let page = SignIn {
            new: asked.new && self.registration.is_some(),
            account: trouble.map_or("", |told| told.account),
            return_to: &asked.return_to,
            signed_out: asked.reason.filter(|_| trouble.is_none()),
            trouble: trouble.map(|told| told.trouble),
        };
        self.pages.sign_in(Language::preferred(request.headers), &page)
    }

    /// The sign-in page that tells of a refusal; nothing if that is no page's affair.
    fn telling(&self, denied: &Denied, account: &str, request: &Inbound<'_>) -> Option<Reply> {
        let told = Told { trouble: trouble(denied)?, account };
        let page = self.sign_in_page(&Asked::read(&self.pages, request), request, Some(&told));
        Some(Problem::to_strangers(denied).told_by(page))
    }

    /// The way to the sign-in page and back, for a person whom a route refused for not being signed in.
    fn way_in(&self, route: &Route, request: &Inbound<'_>, denied: &Denied) -> Option<Reply> {
        let may = route.unauthenticated == Unauthenticated::Redirect && Problem::from(denied).asks_to_sign_in();
        let return_to = match route.target {
            // What a form would have done can't be come back to, but its page can.
            Target::Endpoint(Endpoint::ChangeSessions) => self.pages.return_to(&self.pages.terms().sessions),
            _ if navigation::is_navigation(request.method, request.headers) => {
                self.pages.return_to(&with_query(request.path, request.query))
            }
            _ => return None,
        };
        may.then(|| {
            let mut reply = reply::see_other(&self.pages.way_to_sign_in(&return_to, reason(denied)));
            reply.headers_mut().insert(VARY, HeaderValue::from_static(navigation::DECIDED_BY));
            reply
        })
    }
}

/// What the address of the sign-in page asks for.
struct Asked {
    new: bool,
    return_to: ReturnTo,
    reason: Option<Cause>,
}

impl Asked {
    fn read(pages: &Pages, request: &Inbound<'_>) -> Self {
        let value = |name| value_of(request.query, name);
        Self {
            new: value(pages::NEW).is_some(),
            return_to: pages.return_to(&value(pages::RETURN_TO).unwrap_or_default()),
            reason: value(pages::REASON).as_deref().and_then(Cause::parse),
        }
    }
}

/// The first value of this name in a query.
fn value_of(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
    pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
}

/// What went wrong, and for which account.
struct Told<'a> {
    trouble: Trouble<'a>,
    account: &'a str,
}

/// What the sign-in page says of a refusal.
fn trouble(denied: &Denied) -> Option<Trouble<'_>> {
    match denied {
        Denied::BadCredentials { .. } | Denied::UserDisabled => Some(Trouble::Wrong),
        Denied::BadBody(_) => Some(Trouble::Incomplete),
        Denied::OverLimit { wait, .. } | Denied::LoginDelayed { wait } => Some(Trouble::TooMany(*wait)),
        Denied::TooManySessions => Some(Trouble::TooManyDevices),
        Denied::NotRegistered { said, .. } => Some(Trouble::NotCreated(said)),
        Denied::Overloaded(_)
        | Denied::Store(_)
        | Denied::LoginUnavailable(_)
        | Denied::LoginTimeout
        | Denied::LoginUnusable(_) => Some(Trouble::Unavailable),
        _ => None,
    }
}

/// Why somebody is signed in no more.
fn reason(denied: &Denied) -> Option<Cause> {
    match denied {
        Denied::RefreshEnded(cause) => Some(*cause),
        Denied::BadToken(VerifyError::Expired { .. }) => Some(Cause::Expired),
        Denied::Revoked => Some(Cause::Revoked),
        _ => None,
    }
}

impl Endpoints {
    /// What a person sees of a refusal in place of a problem, which programs get: a page, or the way to one.
    pub fn for_people(&self, route: Option<&Route>, request: &Inbound<'_>, denied: &Denied) -> Option<Reply> {
        let (service, route) = (self.pages.as_ref()?, route?);
        if !navigation::wants_page(request.headers) {
            return None;
        }
        match route.target {
            Target::Endpoint(Endpoint::SignInPage | Endpoint::SignIn) => service.telling(denied, "", request),
            Target::Endpoint(_) | Target::Upstream { .. } => service.way_in(route, request, denied),
        }
    }

    fn page_service(&self) -> Result<&PageService, Denied> {
        self.pages.as_ref().ok_or(Denied::NoRoute)
    }

    /// `GET`: the page to sign in on. Whoever is signed in goes straight on.
    pub(super) async fn sign_in_page(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let service = self.page_service()?;
        let mut asked = Asked::read(&service.pages, &call.request);
        match self.auth.caller(call.permit.route(), &call.request, call.now, call.outgoing).await {
            Ok(Caller::Known(_)) => return Ok(reply::see_other(asked.return_to.as_str())),
            Ok(Caller::Anonymous) => {}
            Err(denied) if denied.is_dead_credential() => asked.reason = reason(&denied).or(asked.reason),
            Err(denied) => return Err(denied),
        }
        Ok(service.sign_in_page(&asked, &call.request, None))
    }

    /// `POST`: the form of the sign-in page. Then on to where one was going, or the page again.
    pub(super) async fn sign_in(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let (service, login) = (self.page_service()?, self.login.as_ref().ok_or(Denied::NoRoute)?);
        let cookies = self.cookies().ok_or(Denied::NoRoute)?;
        csrf::check_login(&call.request, cookies.target(call.permit.route()))?;
        let asked = Asked::read(&service.pages, &call.request);
        let account_field = login.terms.account_field.as_str();
        let fields = Fields::read(call.request.headers, call.body)?;
        let credentials = fields.only(&[account_field, pages::PASSWORD]);
        match self.enter(service, &asked, &credentials, call).await {
            Ok(pair) => {
                self.auth.hand_out(pair, call.outgoing)?;
                Ok(reply::see_other(asked.return_to.as_str()))
            }
            Err(denied) => {
                let account = credentials.text(account_field).unwrap_or("");
                call.outgoing.page = service.telling(&denied, account, &call.request);
                Err(denied)
            }
        }
    }

    /// Signs in, with an account that is created before if that is asked for.
    async fn enter(
        &self,
        service: &PageService,
        asked: &Asked,
        credentials: &Fields,
        call: &mut Call<'_>,
    ) -> Result<Arc<TokenPair>, Denied> {
        if credentials.text(pages::PASSWORD).is_none() {
            return Err(Denied::BadBody("The field password is missing."));
        }
        if let (Some(registration), true) = (&service.registration, asked.new) {
            self.register(registration, credentials, call).await?;
        }
        self.log_in(credentials, call).await
    }
}
