//! The sessions page at work: the caller's sessions, and the forms that end them. Every change is answered by
//! the way to a page, so that a reload repeats nothing. That a form was meant has been checked where the
//! cookies were read.

use std::sync::Arc;

use super::super::logout::{Leaver, Scope};
use super::super::{Call, Endpoints};
use super::value_of;
use crate::ids::SessionId;
use crate::pages::{self, Action, Done, Language, Sessions};
use crate::policy::Caller;
use crate::problem::Denied;
use crate::reply::{self, Reply};
use crate::session::Cause;
use crate::session::fields::Fields;

impl Endpoints {
    /// `GET`: the page of the caller's sessions.
    pub(in super::super) async fn sessions_page(&self, call: &Call<'_>) -> Result<Reply, Denied> {
        let service = self.page_service()?;
        let known = call.known()?;
        let all = self.auth.store.sessions(&known.subject, call.now).await?;
        let done = value_of(call.request.query, pages::DONE).as_deref().and_then(Done::parse);
        let page = Sessions { all: &all, current: known.sid, done };
        Ok(service.pages.sessions(Language::preferred(call.request.headers), &page))
    }

    /// `POST`: the forms of that page.
    pub(in super::super) async fn change_sessions(&self, call: &mut Call<'_>) -> Result<Reply, Denied> {
        let pages = &self.page_service()?.pages;
        let Caller::Known(known) = call.permit.caller() else { return Err(Denied::NoCredential) };
        let leaver = Leaver::Known(Arc::clone(known));
        let fields = Fields::read(call.request.headers, call.body)?;
        match fields.text(pages::ACTION).and_then(Action::parse) {
            Some(Action::End) => {
                let sid = fields.text(pages::SID).and_then(|sid| SessionId::parse(sid).ok());
                // One that has ended meanwhile is what was wanted.
                self.end_one(known, sid.ok_or(Denied::NoSuchSession)?, call).await?;
                Ok(reply::see_other(&pages.way_to_sessions(Done::Ended)))
            }
            Some(Action::EndOthers) => {
                self.end(Scope::Others, &leaver, call.now).await?;
                Ok(reply::see_other(&pages.way_to_sessions(Done::OthersEnded)))
            }
            Some(Action::SignOut) => {
                self.end(Scope::This, &leaver, call.now).await?;
                self.auth.forget(call.request.headers, call.outgoing);
                let home = &pages.terms().home;
                Ok(reply::see_other(&pages.way_to_sign_in(home, Some(Cause::LoggedOut))))
            }
            None => Err(Denied::BadBody("The field action is end, end_others or sign_out.")),
        }
    }
}
