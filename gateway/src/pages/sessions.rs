//! The list of the sessions page: this device first, then those that were used last, each with what its
//! owner can know it by and a button that ends it. Every button is a form of its own, so that the page
//! works without scripts. What a client once called itself is shown only as a name that we know, escaped.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::device::DeviceName;
use super::texts::Texts;
use super::{ACTION, Action, SID, Sessions, Terms};
use crate::clock::Timestamp;
use crate::ids::SessionId;
use crate::session::Session;

/// The list, and what can be done with all of it.
pub(super) fn list(terms: &Terms, texts: &Texts, page: &Sessions<'_>) -> Markup {
    let mut sessions: Vec<&Session> = page.all.iter().collect();
    sessions.sort_by_key(|session| (session.id != page.current, Reverse(session.rotated_at)));
    html! {
        p.soft { (texts.about_sessions) }
        @if let Some(done) = page.done { p.note role="status" { ((texts.done)(done)) } }
        ul {
            @for session in &sessions { (entry(terms, texts, session, session.id == page.current)) }
        }
        div.row {
            @if sessions.len() > 1 { (button(terms, Action::EndOthers, None, &html! { (texts.end_others) })) }
            (button(terms, Action::SignOut, None, &html! { (texts.sign_out) }))
            @if terms.home.path() != terms.sessions { a href=(terms.home) { (texts.back) } }
        }
    }
}

fn entry(terms: &Terms, texts: &Texts, session: &Session, current: bool) -> Markup {
    let name = (texts.device)(DeviceName::read(&session.user_agent));
    html! {
        li {
            div.facts {
                h2 { (name) @if current { " " span.tag { (texts.this_device) } } }
                dl {
                    dt { (texts.last_used) } dd { (moment(texts, session.rotated_at)) }
                    dt { (texts.created) } dd { (moment(texts, session.created_at)) }
                    dt { (texts.address) } dd { (session.address) }
                }
            }
            @if !current {
                (button(terms, Action::End, Some(session.id), &html! { (texts.end) span.unseen { ": " (name) } }))
            }
        }
    }
}

fn moment(texts: &Texts, at: Timestamp) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { ((texts.moment)(at.minute())) } }
}

fn button(terms: &Terms, action: Action, sid: Option<SessionId>, label: &Markup) -> Markup {
    html! {
        form method="post" action=(terms.sessions) {
            input type="hidden" name=(ACTION) value=(action.name());
            @if let Some(sid) = sid { input type="hidden" name=(SID) value=(sid); }
            button { (label) }
        }
    }
}
