use super::*;
use crate::ids::SessionId;
use crate::secret::Secret;
use crate::session::refresh_token::RefreshKeys;

fn cookies() -> Cookies {
    Cookies {
        access: CookieName::parse("__Host-access").unwrap(),
        refresh: CookieName::parse("__Host-refresh").unwrap(),
        secure: true,
        same_site: SameSite::Lax,
        life: CookieLife::Tokens,
        deliver: Deliver::Cookies,
        early_refresh: Duration::ZERO,
        trusted_origins: Origins::default(),
    }
}

fn headers(lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
}

#[test]
fn ours_are_read_among_others_and_on_several_lines() {
    let held = |access, refresh| Ok(Held { access, refresh });
    for (name, lines, expected) in [
        ("none", &[][..], held(None, None)),
        ("both", &["__Host-access=a; __Host-refresh=r"], held(Some("a"), Some("r"))),
        ("among others", &["x=1; __Host-access=a;y=\u{e9}; z"], held(Some("a"), None)),
        ("as crumbs of HTTP/2", &["__Host-refresh=r", "x=1", "__Host-access=a"], held(Some("a"), Some("r"))),
        ("blanked", &["__Host-access=; __Host-refresh=r"], held(None, Some("r"))),
        ("another name in part", &["__Host-accessory=a; access=b; x__Host-access=c"], held(None, None)),
        ("another case is another cookie", &["__host-access=a"], held(None, None)),
        ("twice", &["__Host-access=a; __Host-access=a"], Err(Malformed::SeveralCredentials)),
        ("twice, one of them blank", &["__Host-access=; __Host-access=a"], Err(Malformed::SeveralCredentials)),
        ("unreadable", &["__Host-access=\u{e9}"], held(Some("\u{e9}"), None)),
    ] {
        assert_eq!(cookies().read(&headers(lines)), expected, "{name}");
    }
    let latin1 = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(b"__Host-access=\xe9").unwrap())]);
    assert_eq!(cookies().read(&latin1), Err(Malformed::Cookie));
}

#[test]
fn a_server_sees_every_cookie_but_ours() {
    let left = |lines: &[&str]| String::from_utf8(of_others(Some(&cookies()), &headers(lines))).unwrap();
    assert_eq!(left(&["a=1; __Host-access=x; b=2", "__Host-refresh=y", "c"]), "a=1; b=2; c");
    for taken_for_ours in [
        "__HOST-ACCESS =x;__host-refresh",
        "=__Host-access=x",
        "\u{2000}__Host-access=x",
        "__Host-access\u{85}=x",
        "__Host.access=x",
        "__Host_access=x",
        "\"__Host-access\"=x",
        "a=\"; __Host-access=x; \"",
        "$Version=1, __Host-access=x",
    ] {
        let left = left(&[taken_for_ours]);
        assert!(!left.contains("access"), "{taken_for_ours:?}: {left:?}");
    }
    assert_eq!(left(&["a=1, b=2; accessory=3; access=4"]), "a=1, b=2; accessory=3; access=4");
    assert_eq!(left(&[]), "");
    let token = RefreshKeys::new(&Secret::new([1; 32]), &[]).derive(SessionId::from_bytes([7; 16]), 3);
    let old = headers(&[&format!("old-name={}; b=2", token.expose())]);
    assert_eq!(of_others(Some(&cookies()), &old), b"b=2", "by whatever name it went");
    assert_eq!(of_others(None, &old), b"b=2");
}

#[test]
fn a_server_can_not_set_ours() {
    let ours = |line: &str| cookies().are_set_by(&line.parse().unwrap());
    assert!(ours("__Host-access=evil; Path=/"));
    assert!(ours(" __host-REFRESH = evil"));
    assert!(ours("=__Host-access=evil"), "a name that is a value");
    assert!(!ours("theme=__Host-access=1"));
}

#[test]
fn clearing_names_the_same_cookies_as_setting() {
    let [access, refresh] = cookies().clear();
    assert_eq!(access, "__Host-access=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0");
    assert_eq!(refresh, "__Host-refresh=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0");
    assert!(access.is_sensitive(), "so that no log shows it");
}

#[test]
fn a_name_is_a_token_of_http() {
    assert!(CookieName::parse("__Host-a.b").is_ok_and(|name| name.promises_secure()));
    assert!(CookieName::parse("__SECURE-a").is_ok_and(|name| name.promises_secure()));
    assert!(CookieName::parse("Host-a").is_ok_and(|name| !name.promises_secure()));
    assert_eq!(CookieName::parse(""), Err(CookieNameError::Length));
    for bad in ["a b", "a=b", "a;b", "a\"", "é", "a\n"] {
        assert_eq!(CookieName::parse(bad), Err(CookieNameError::Character), "{bad:?}");
    }
}

/// Pieces of what a client may send as `Cookie`, ours and not.
const CRUMBS: &str =
    "((__Host-access|__host-ACCESS|__Host-refresh|a|\\PC{0,3})[ \\t]?(=|==|)[ -~]{0,6}[;, ]{0,2}){0,6}";

mod properties {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_cookies_are_read_and_none_of_ours_is_left_for_servers(lines in proptest::collection::vec(CRUMBS, 0..4)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let (ours, headers) = (cookies(), headers(&lines));
            let (held, left) = (ours.read(&headers), of_others(Some(&ours), &headers));
            let blank = |token: Option<&str>| token == Some("");
            proptest::prop_assert!(!held.is_ok_and(|held| blank(held.access) || blank(held.refresh)));
            let passed_on = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(&left).unwrap())]);
            proptest::prop_assert!(!ours.are_in(&passed_on), "{:?} leaves {}", lines, String::from_utf8_lossy(&left));
            proptest::prop_assert_eq!(of_others(Some(&ours), &passed_on), left, "the rest stays as it is");
        }

        #[test]
        fn no_line_of_a_server_sets_ours(line in CRUMBS) {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            if !cookies().are_set_by(&value) {
                // A browser sends back what stands before the first semicolon, without a name if there is none.
                let pair = line.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
                let sent = pair.strip_prefix('=').unwrap_or(pair);
                proptest::prop_assert!(!cookies().are_in(&headers(&[sent])), "{}", line);
            }
        }
    }
}
