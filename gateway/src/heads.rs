//! Heads of messages as plain maps of headers. The engine keeps beside each name how it was spelt, and so does every
//! change to a head twice; to HTTP no spelling means anything (RFC 9110 §5.1), and HTTP/2 has but one. It relies on a
//! target having been read in one way only, and decides nothing.

use std::mem;

use http::{HeaderMap, Request, Response, request, response};
use pingora::http::{RequestHeader, ResponseHeader};

/// Has the engine forget how the names in `head` were spelt, and a target that is not the path and query in its URI.
pub(crate) fn forget_spelling(head: &mut RequestHeader) {
    if head.has_case() {
        of_request(head, |_| ());
    }
}

/// Changes the headers of a request, whose target is the path and query in its URI.
pub(crate) fn of_request<T>(head: &mut RequestHeader, change: impl FnOnce(&mut HeaderMap) -> T) -> T {
    let nothing = RequestHeader::from(Request::new(()).into_parts().0);
    let mut parts = request::Parts::from(mem::replace(head, nothing));
    let result = change(&mut parts.headers);
    *head = parts.into();
    result
}

/// Changes the headers of an answer.
pub(crate) fn of_response<T>(head: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap) -> T) -> T {
    let usual = head.status.canonical_reason();
    let reason = head.get_reason_phrase().filter(|reason| Some(*reason) != usual).map(str::to_owned);
    let nothing = ResponseHeader::from(Response::new(()).into_parts().0);
    let mut parts = response::Parts::from(mem::replace(head, nothing));
    let result = change(&mut parts.headers);
    *head = parts.into();
    if let Some(reason) = reason {
        // It was a reason a moment ago.
        let _ = head.set_reason_phrase(Some(&reason));
    }
    result
}

#[cfg(test)]
mod tests {
    use http::header::ETAG;

    use super::*;

    #[test]
    fn nothing_of_a_head_is_lost_but_how_its_names_were_spelt() {
        let mut request = RequestHeader::build("PUT", b"/a?b=%20c", None).unwrap();
        request.append_header("X-Twice", "1").unwrap();
        request.append_header("x-tWICE", "2").unwrap();
        request.set_version(http::Version::HTTP_11);
        forget_spelling(&mut request);
        let twice: Vec<_> = request.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["1", "2"]);
        assert_eq!((request.method.as_str(), request.raw_path()), ("PUT", &b"/a?b=%20c"[..]));
        assert!(!request.has_case());

        for reason in ["Fine", "", "OK"] {
            let mut answer = ResponseHeader::build(200, None).unwrap();
            answer.set_reason_phrase(Some(reason)).unwrap();
            answer.append_header("ETag", "\"1\"").unwrap();
            of_response(&mut answer, |headers| headers.insert("x-more", "2".parse().unwrap()));
            assert_eq!(answer.get_reason_phrase(), Some(reason));
            assert_eq!(
                (&answer.headers[ETAG], &answer.headers["x-more"]),
                (&"\"1\"".parse().unwrap(), &"2".parse().unwrap())
            );
        }
    }
}
