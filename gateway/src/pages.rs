//! The two pages for people: sign in, and your sessions. Rendering is pure: what is to be seen comes in as
//! values, a [`Reply`] goes out, and every text is escaped by the templates. The pages hold no script and
//! load nothing; who may see them, and what their forms do, is for the endpoints.

use http::HeaderValue;
use http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, VARY, X_FRAME_OPTIONS};
use maud::{DOCTYPE, Markup, html};

use crate::reply::{self, Reply};
use crate::session::Cause;

pub mod device;
pub mod language;
pub mod return_to;
mod sessions;
mod sign_in;
mod texts;
pub mod theme;
mod view;

pub use language::Language;
pub use return_to::ReturnTo;
pub use view::{Action, Done, Sessions, SignIn, Trouble};

use texts::Texts;
use theme::{Style, Theme};

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The field that says where to go after signing in.
pub const RETURN_TO: &str = "return_to";
/// The field that says why somebody was signed out.
pub const REASON: &str = "reason";
/// The field that asks for a new account.
pub const NEW: &str = "new";
/// The field of a password.
pub const PASSWORD: &str = "password";
/// The field that says what to do on the sessions page.
pub const ACTION: &str = "action";
/// The field that names a session.
pub const SID: &str = "sid";
/// The field that says what was done on the sessions page.
pub const DONE: &str = "done";

/// Where the pages are, and how they look.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The path of the sign-in page.
    pub sign_in: String,
    /// The path of the sessions page.
    pub sessions: String,
    /// Where somebody goes who wanted nothing in particular.
    pub home: ReturnTo,
    /// The field that names the account, as the login upstream knows it.
    pub account_field: String,
    /// Whether accounts can be created here.
    pub can_register: bool,
    /// How they look.
    pub theme: Theme,
}

impl Terms {
    /// The address of the sign-in page with a query.
    fn sign_in_with(&self, query: impl IntoIterator<Item = (&'static str, impl AsRef<str>)>) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        format!("{}?{query}", self.sign_in)
    }
}

/// Renders pages.
#[derive(Clone, Debug)]
pub struct Pages {
    terms: Terms,
    style: Style,
}

impl Pages {
    /// Prepares pages.
    pub fn new(terms: Terms) -> Self {
        let style = Style::of(&terms.theme);
        Self { terms, style }
    }

    /// Where they are, and how they look.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The way to the sign-in page, and from there back to `return_to`.
    pub fn way_to_sign_in(&self, return_to: &ReturnTo, reason: Option<Cause>) -> String {
        let return_to = Some((RETURN_TO, return_to.as_str()));
        let reason = reason.map(|reason| (REASON, reason.name()));
        self.terms.sign_in_with(return_to.into_iter().chain(reason))
    }

    /// The way to the sessions page, which says what was done.
    pub fn way_to_sessions(&self, done: Done) -> String {
        format!("{}?{DONE}={}", self.terms.sessions, done.name())
    }

    /// Where `raw` leads after signing in: home, unless it is a path of this origin and not the page itself.
    pub fn return_to(&self, raw: &str) -> ReturnTo {
        ReturnTo::parse(raw)
            .filter(|return_to| return_to.path() != self.terms.sign_in)
            .unwrap_or_else(|| self.terms.home.clone())
    }

    /// The sign-in page.
    pub fn sign_in(&self, language: Language, page: &SignIn<'_>) -> Reply {
        let texts = Texts::of(language);
        let heading = if page.new { texts.create_account } else { texts.sign_in };
        let title = match page.trouble {
            Some(_) => format!("{}: {heading}", texts.error),
            None => heading.to_owned(),
        };
        let main = html! {
            main {
                (self.brand())
                h1 { (heading) }
                (sign_in::form(&self.terms, texts, page))
            }
        };
        self.document(language, &title, &main)
    }

    /// The sessions page.
    pub fn sessions(&self, language: Language, page: &Sessions<'_>) -> Reply {
        let texts = Texts::of(language);
        let main = html! {
            main.wide {
                (self.brand())
                h1 { (texts.sessions) }
                (sessions::list(&self.terms, texts, page))
            }
        };
        self.document(language, texts.sessions, &main)
    }

    fn brand(&self) -> Markup {
        let Theme { title, logo, accent: _ } = &self.terms.theme;
        html! {
            @if title.is_some() || logo.is_some() {
                p.brand {
                    @if let Some(logo) = logo { img src=(logo.url()) alt=""; }
                    @if let Some(title) = title { span { (title) } }
                }
            }
        }
    }

    fn document(&self, language: Language, title: &str, main: &Markup) -> Reply {
        let icon = self.terms.theme.logo.as_ref().map_or("data:,", |logo| logo.url());
        let page = html! {
            (DOCTYPE)
            html lang=(language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title {
                        (title)
                        @if let Some(service) = &self.terms.theme.title { " · " (service) }
                    }
                    link rel="icon" href=(icon);
                    style { (self.style.markup()) }
                }
                body { (main) }
            }
        };
        let mut reply = reply::html(page.into_string());
        self.protect(&mut reply, language);
        reply
    }

    /// What keeps a page from being framed, scripted, mixed up with another or kept.
    fn protect(&self, reply: &mut Reply, language: Language) {
        let policy = HeaderValue::from_str(&self.style.policy()).expect("a hash in Base64 is safe in headers");
        let headers = reply.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        // With `no-referrer` a browser sends `Origin: null` with its forms, and ours could not be told apart.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
    }
}

#[cfg(test)]
mod tests;
