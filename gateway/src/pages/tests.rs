use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use super::theme::{Accent, Logo};
use super::*;
use crate::clock::Timestamp;
use crate::ids::{Partition, PartitionCount, SessionId, Subject};
use crate::policy::Grants;
use crate::session::{Cause, Session, TokenHash};

/// What must never come out as it went in.
const HOSTILE: &str = "\"><script>alert('x')</script>&<!--";

fn pages(theme: Theme) -> Pages {
    Pages::new(Terms {
        sign_in: "/auth/sign-in".to_owned(),
        sessions: "/auth/devices".to_owned(),
        home: ReturnTo::root(),
        account_field: "username".to_owned(),
        can_register: true,
        theme,
    })
}

fn hostile_theme() -> Theme {
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"/>"#;
    Theme {
        title: Some(HOSTILE.to_owned()),
        logo: Some(Logo::read(svg).unwrap()),
        accent: Accent::parse("#ffcc00").unwrap(),
    }
}

fn sign_in<'a>(return_to: &'a ReturnTo, trouble: Option<Trouble<'a>>) -> SignIn<'a> {
    SignIn { new: false, account: HOSTILE, return_to, signed_out: None, trouble }
}

fn session(user_agent: &str, used: i64) -> Session {
    let subject = Subject::parse("alice").unwrap();
    Session {
        id: SessionId::random(Partition::of(&subject, PartitionCount::ONE)),
        subject,
        grants: Grants::default(),
        generation: 0,
        token_hash: TokenHash([0; 32]),
        rotated_at: Timestamp::from_secs(1_700_000_000 + used),
        created_at: Timestamp::from_secs(1_700_000_000),
        expires_at: Timestamp::from_secs(1_800_000_000),
        epoch: 0,
        address: "2001:db8::1".parse().unwrap(),
        user_agent: user_agent.to_owned(),
    }
}

fn text(reply: &Reply) -> &str {
    std::str::from_utf8(reply.body()).unwrap()
}

/// The sign-in page in every state, and the sessions page, in both languages.
fn every_page(theme: &Theme) -> Vec<Reply> {
    let pages = pages(theme.clone());
    let return_to = ReturnTo::parse("/posts?a='b'&c=<d>").unwrap();
    let troubles = [
        None,
        Some(Trouble::Wrong),
        Some(Trouble::Incomplete),
        Some(Trouble::TooMany(Duration::from_secs(8))),
        Some(Trouble::TooManyDevices),
        Some(Trouble::Unavailable),
        Some(Trouble::NotCreated(HOSTILE)),
    ];
    let all: Vec<Session> = (0..20).map(|used| session(HOSTILE, used)).collect();
    let mut replies = Vec::new();
    for language in [Language::English, Language::Korean] {
        for trouble in troubles {
            for new in [false, true] {
                let page = SignIn { new, ..sign_in(&return_to, trouble) };
                replies.push(pages.sign_in(language, &page));
            }
        }
        for reason in Cause::ALL {
            let page = SignIn { signed_out: Some(reason), ..sign_in(&return_to, None) };
            replies.push(pages.sign_in(language, &page));
        }
        let page = Sessions { all: &all, current: all[3].id, done: Some(Done::Ended) };
        replies.push(pages.sessions(language, &page));
    }
    replies
}

#[test]
fn no_text_that_is_shown_can_become_markup() {
    for reply in every_page(&hostile_theme()) {
        let page = text(&reply);
        assert!(!page.contains("<script") && !page.contains("<!--") && !page.contains("'x')<"), "{page}");
        assert!(!page.contains("c=<d>"), "{page}");
        assert_eq!(page.matches("<html").count(), 1, "{page}");
    }
}

#[test]
fn a_page_holds_no_script_and_loads_nothing() {
    for reply in every_page(&Theme::default()) {
        let page = text(&reply);
        for mark in ["<script", " style=", " onclick", "http://", "https://", "url("] {
            assert!(!page.contains(mark), "{mark} in {page}");
        }
    }
}

#[test]
fn a_page_is_small() {
    for reply in every_page(&Theme::default()) {
        let sessions = text(&reply).matches("<li>").count();
        assert!(reply.body().len() < 12 * 1024 + sessions * 1024, "{} bytes", reply.body().len());
    }
}

#[test]
fn every_page_says_what_it_may_do_and_that_nobody_keeps_it() {
    for reply in every_page(&Theme::default()) {
        let header = |name: HeaderName| reply.headers()[name].to_str().unwrap();
        let policy = header(CONTENT_SECURITY_POLICY);
        for part in ["default-src 'none';", "form-action 'self';", "frame-ancestors 'none';", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "same-origin"),
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (VARY, "Accept-Language"),
        ] {
            assert_eq!(header(name), value);
        }
        let tag = header(CONTENT_LANGUAGE);
        assert!(text(&reply).contains(&format!("<html lang=\"{tag}\">")));
    }
}

#[test]
fn what_went_wrong_is_tied_to_the_fields() {
    let root = ReturnTo::root();
    let pages = pages(Theme::default());
    let good = pages.sign_in(Language::English, &sign_in(&root, None));
    let bad = pages.sign_in(Language::English, &sign_in(&root, Some(Trouble::Wrong)));
    assert!(!text(&good).contains("role=\"alert\"") && !text(&good).contains("aria-invalid="));
    let later = sign_in(&root, Some(Trouble::TooMany(Duration::from_secs(8))));
    let later = pages.sign_in(Language::English, &later);
    assert!(text(&later).contains("aria-describedby=\"error\"") && !text(&later).contains("aria-invalid="));
    assert_eq!(text(&bad).matches("aria-invalid=\"true\" aria-describedby=\"error\"").count(), 2);
    assert!(text(&bad).contains("id=\"error\"") && text(&bad).contains("<title>Error: Sign in</title>"));
}

#[test]
fn password_managers_are_told_what_a_field_is_for() {
    let root = ReturnTo::root();
    let pages = pages(Theme::default());
    for (new, password) in [(false, "current-password"), (true, "new-password")] {
        let page = SignIn { new, account: "", ..sign_in(&root, None) };
        let reply = pages.sign_in(Language::English, &page);
        for mark in ["autocomplete=\"username\"", &format!("autocomplete=\"{password}\""), "<label for=\"account\">"] {
            assert!(text(&reply).contains(mark), "{mark} in {}", text(&reply));
        }
    }
}

#[test]
fn what_an_upstream_says_is_one_short_line() {
    let root = ReturnTo::root();
    let said = format!("taken\r\n\u{202e}by\u{0} someone {}", "long ".repeat(100));
    let page = sign_in(&root, Some(Trouble::NotCreated(&said)));
    let reply = pages(Theme::default()).sign_in(Language::English, &page);
    let shown = text(&reply).split("role=\"alert\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(shown.starts_with("The account could not be created: taken by someone long"), "{shown}");
    assert!(shown.chars().count() < 250, "{shown}");
}

#[test]
fn only_known_words_of_an_address_mean_something() {
    for raw in ["", "Reused", "reused ", "<b>", "expired2", "Ended", "end "] {
        assert_eq!((Cause::parse(raw), Done::parse(raw), Action::parse(raw)), (None, None, None), "{raw}");
    }
}

#[test]
fn nobody_is_sent_elsewhere_or_round_in_circles() {
    let pages = Pages::new(Terms { home: ReturnTo::parse("/home").unwrap(), ..pages(Theme::default()).terms });
    for (raw, expected) in [
        ("/posts?a=b", "/posts?a=b"),
        ("//evil.test", "/home"),
        ("", "/home"),
        ("/auth/sign-in", "/home"),
        ("/auth/sign-in?return_to=/auth/sign-in", "/home"),
    ] {
        assert_eq!(pages.return_to(raw).as_str(), expected, "{raw}");
    }
    let way = pages.way_to_sign_in(&ReturnTo::parse("/posts?a=b&c").unwrap(), Some(Cause::Reused));
    assert_eq!(way, "/auth/sign-in?return_to=%2Fposts%3Fa%3Db%26c&reason=reused");
}

#[test]
fn this_device_comes_first_and_can_not_be_ended_from_the_list() {
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let all = [session("curl/8.14", 50), session(FIREFOX, 10), session("Dart/3.8 (dart:io)", 90)];
    let page = Sessions { all: &all, current: all[1].id, done: None };
    let reply = pages(Theme::default()).sessions(Language::English, &page);
    let names: Vec<&str> = text(&reply).split("<h2>").skip(1).map(|rest| rest.split("</h2>").next().unwrap()).collect();
    assert_eq!(names, ["Firefox on Linux <span class=\"tag\">This device</span>", "Dart", "curl"]);
    let ends = |session: &Session| text(&reply).contains(&format!("name=\"sid\" value=\"{}\"", session.id));
    assert_eq!(all.each_ref().map(ends), [true, false, true]);
    let alone = pages(Theme::default()).sessions(Language::English, &Sessions { all: &all[1..2], ..page });
    assert!(text(&reply).contains("End all other sessions") && !text(&alone).contains("End all other sessions"));
}
