//! What the admin API can be asked, as one table: method, path, name and what it means. Names of users and
//! sessions in a path are percent-decoded once and parsed; nothing else is decided here.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::ids::{IdError, SessionId, Subject};
use crate::problem::Denied;

/// Where the API is.
pub(super) const PREFIX: &str = "/admin/v1/";

/// What an administrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    ShowUser(Subject),
    DisableUser(Subject),
    EnableUser(Subject),
    ListSessions(Subject),
    EndSessions(Subject),
    ShowSession(SessionId),
    EndSession(SessionId),
}

struct Row {
    method: Method,
    /// Segments below [`PREFIX`]; the empty one is the name of a user or a session.
    path: &'static [&'static str],
    name: &'static str,
    action: fn(&str) -> Result<Action, IdError>,
}

static TABLE: [Row; 7] = [
    row(Method::GET, &["users", ""], "show_user", |id| Subject::parse(id).map(Action::ShowUser)),
    row(Method::POST, &["users", "", "disable"], "disable_user", |id| Subject::parse(id).map(Action::DisableUser)),
    row(Method::POST, &["users", "", "enable"], "enable_user", |id| Subject::parse(id).map(Action::EnableUser)),
    row(Method::GET, &["users", "", "sessions"], "list_sessions", |id| Subject::parse(id).map(Action::ListSessions)),
    row(Method::DELETE, &["users", "", "sessions"], "end_sessions", |id| Subject::parse(id).map(Action::EndSessions)),
    row(Method::GET, &["sessions", ""], "show_session", |id| SessionId::parse(id).map(Action::ShowSession)),
    row(Method::DELETE, &["sessions", ""], "end_session", |id| SessionId::parse(id).map(Action::EndSession)),
];

const fn row(
    method: Method,
    path: &'static [&'static str],
    name: &'static str,
    action: fn(&str) -> Result<Action, IdError>,
) -> Row {
    Row { method, path, name, action }
}

/// What `method` of `path`, the part below [`PREFIX`], asks for; and its name, for the log and the metrics.
pub(super) fn find(method: &Method, path: &str) -> (&'static str, Result<Action, Denied>) {
    let segments: Vec<&str> = path.split('/').collect();
    let here: Vec<&Row> = TABLE.iter().filter(|row| row.matches(&segments)).collect();
    match here.iter().find(|row| row.method == *method) {
        Some(row) => (row.name, row.read(&segments)),
        None if here.is_empty() => ("unknown", Err(Denied::NoRoute)),
        None => {
            let allowed = here.iter().map(|row| row.method.clone()).collect();
            ("unknown", Err(Denied::MethodNotAllowed { allowed }))
        }
    }
}

impl Row {
    fn matches(&self, segments: &[&str]) -> bool {
        let fits = |(ours, theirs): (&&str, &&str)| ours.is_empty() || ours == theirs;
        self.path.len() == segments.len() && self.path.iter().zip(segments).all(fits)
    }

    fn read(&self, segments: &[&str]) -> Result<Action, Denied> {
        let named = self.path.iter().zip(segments).find(|(ours, _)| ours.is_empty());
        let (_, id) = named.expect("each row of the table has a place for a name");
        (self.action)(&decoded(id)?).map_err(Denied::BadId)
    }
}

/// `segment`, percent-decoded once; every `%` in it must begin an encoding.
fn decoded(segment: &str) -> Result<String, Denied> {
    let malformed = Denied::BadId(IdError::Malformed);
    let encodes = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !segment.split('%').skip(1).all(encodes) {
        return Err(malformed);
    }
    percent_decode_str(segment).decode_utf8().map(String::from).map_err(|_| malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(method: &Method, path: &str) -> Result<Action, &'static str> {
        find(method, path).1.map_err(|denied| denied.reason())
    }

    fn user(name: &str) -> Subject {
        Subject::parse(name).unwrap()
    }

    #[test]
    fn every_row_is_found_by_its_method_and_path() {
        let sid = SessionId::from_bytes([7; 16]);
        for (method, path, action) in [
            (Method::GET, "users/alice".to_owned(), Action::ShowUser(user("alice"))),
            (Method::POST, "users/alice/disable".to_owned(), Action::DisableUser(user("alice"))),
            (Method::POST, "users/alice/enable".to_owned(), Action::EnableUser(user("alice"))),
            (Method::GET, "users/alice/sessions".to_owned(), Action::ListSessions(user("alice"))),
            (Method::DELETE, "users/alice/sessions".to_owned(), Action::EndSessions(user("alice"))),
            (Method::GET, format!("sessions/{sid}"), Action::ShowSession(sid)),
            (Method::DELETE, format!("sessions/{sid}"), Action::EndSession(sid)),
        ] {
            assert_eq!(asks(&method, &path), Ok(action), "{method} {path}");
        }
    }

    #[test]
    fn a_name_is_decoded_once_and_must_be_one() {
        for (path, expected) in [
            ("users/a%2Fb%40c", Ok("a/b@c")),
            ("users/a%2561", Ok("a%61")),
            ("users/sessions", Ok("sessions")),
            ("users/a%zz", Err("bad_id")),
            ("users/a%2", Err("bad_id")),
            ("users/a%", Err("bad_id")),
            ("users/a%+1", Err("bad_id")),
            ("users/a%0ab", Err("bad_id")),
            ("users/a%ff", Err("bad_id")),
            ("users/", Err("bad_id")),
            ("users/a/", Err("no_route")),
            ("users", Err("no_route")),
            ("", Err("no_route")),
            ("sessions", Err("no_route")),
            ("sessions/garbage", Err("bad_id")),
        ] {
            assert_eq!(asks(&Method::GET, path), expected.map(|name| Action::ShowUser(user(name))), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let Err(Denied::MethodNotAllowed { allowed }) = find(&Method::POST, "users/alice/sessions").1 else {
            panic!("it is not allowed")
        };
        assert_eq!(allowed, [Method::GET, Method::DELETE]);
        assert_eq!(asks(&Method::HEAD, "users/alice"), Err("method_not_allowed"));
    }
}
