//! `[pages]`: pages for people, and the routes that send them there.

use insta::assert_snapshot;
use portcullis::config;

use crate::{LEAST, each, env, mistakes, parse};

const GROUND: &str = r#"
[login]
upstream = "backend"
path = "/login"
subject = "/id"
[cookies]
"#;

fn with_pages(pages: &str) -> String {
    format!("{LEAST}{GROUND}[pages]\nenabled = true\n{pages}\n")
}

#[test]
fn pages_are_off_unless_they_are_asked_for() {
    for text in [LEAST.to_owned(), format!("{LEAST}{GROUND}"), format!("{LEAST}{GROUND}[pages]\ntitle = \"x\"\n")] {
        let config = parse(&text).unwrap();
        assert!(config.pages.is_none() && !config.routes.iter().any(|route| route.id.as_str().starts_with("pages.")));
    }
}

#[test]
fn pages_are_where_they_are_told_to_be() {
    let config = parse(&with_pages("sign_in = \"/in\"\nsessions = \"/me/devices\"\nhome = \"/start?x\"")).unwrap();
    let terms = config.pages.unwrap().terms;
    assert_eq!((&*terms.sign_in, &*terms.sessions, terms.home.as_str()), ("/in", "/me/devices", "/start?x"));
    assert!(!terms.can_register);
    let own = config.routes.iter().filter(|route| route.id.as_str().starts_with("pages."));
    let own: Vec<String> = own.map(|route| format!("{} {} {}", route.id, route.methods, route.path)).collect();
    assert_eq!(
        own,
        [
            "pages.sign_in_page GET /in",
            "pages.sign_in POST /in",
            "pages.sessions_page GET /me/devices",
            "pages.sessions POST /me/devices",
        ]
    );
}

#[test]
fn what_pages_rest_on_must_be_there() {
    assert_snapshot!(each([
        ("no login", format!("{LEAST}[cookies]\n[pages]\nenabled = true\n")),
        ("no cookies", format!("{LEAST}{}[pages]\nenabled = true\n", GROUND.replace("[cookies]", ""))),
        ("taken", with_pages("sign_in = \"/auth/login\"")),
    ]), @r##"
    no login: portcullis.toml:18 pages.enabled: there is no [login], so nobody could sign in; write [login] or leave pages out
    no cookies: portcullis.toml:23 pages.enabled: browsers carry tokens in cookies only; write [cookies], which may be empty, or leave pages out
    taken: portcullis.toml:24 pages.sign_in: it matches the same requests as route "auth.login"; change the path, methods or host of one
    "##);
}

#[test]
fn mistakes_of_pages_are_told_with_their_remedy() {
    assert_snapshot!(each([
        ("several", with_pages("sign_in = \"/auth/*\"\nhome = \"https://example.com\"\naccent = \"blue\"\ntitle = \" \"\ncolour = 1")),
        ("no such route", with_pages("register = \"post\"")),
        ("no route for that", with_pages("register = \"posts\"")),
        ("no logo", with_pages("logo = \"no/such.svg\"")),
    ]), @r##"
    several: portcullis.toml:24 pages.sign_in: this is one path; write it without "*" and "{name}"
    portcullis.toml:25 pages.home: this is no path of this site; write "/" or "/start"
    portcullis.toml:26 pages.accent: "blue" is no colour; write "#2f55b7"
    portcullis.toml:27 pages.title: it is empty; write something or leave the key out
    portcullis.toml:28 pages.colour: unknown key; the keys here are enabled, sign_in, sessions, home, register, title, logo, accent
    no such route: portcullis.toml:24 pages.register: unknown route "post"; did you mean "posts"?
    no route for that: portcullis.toml:24 pages.register: route "posts" can't create accounts: that takes POST to one path of an upstream, with policy = "public"
    no logo: portcullis.toml:24 pages.logo: the file "no/such.svg" can't be the logo: No such file or directory (os error 2)
    "##);
}

#[test]
fn a_route_that_sends_people_away_takes_them_back() {
    let route = |text: &str, route: &str| {
        text.replace("policy = \"public\"", &format!("{route}\nunauthenticated = \"redirect\""))
    };
    let secured = "policy = \"authenticated\"";
    assert!(parse(&route(&with_pages(""), secured)).is_ok());
    assert_snapshot!(each([
        ("no pages", route(&format!("{LEAST}{GROUND}"), secured)),
        ("everybody may pass", route(&with_pages(""), "policy = \"optional\"")),
        ("no cookies", route(&with_pages(""), "policy = \"authenticated\"\ncookies = false")),
        ("another host", route(&format!("{}[auth]\nhost = \"a.example.com\"\n", with_pages("")), secured)),
        ("no page", route(&with_pages(""), secured).replace("path = \"/posts/*\"", "path = \"/posts/*\", methods = [\"DELETE\"]")),
        ("no such word", route(&with_pages(""), secured).replace("\"redirect\"", "\"redirekt\"")),
    ]), @r##"
    no pages: portcullis.toml:16 route.posts.unauthenticated: there is no sign-in page; write [pages] with enabled = true, or "refuse"
    everybody may pass: portcullis.toml:16 route.posts.unauthenticated: this route lets everybody in, so nobody is sent to sign in; leave it out
    no cookies: portcullis.toml:17 route.posts.unauthenticated: whoever signed in would be sent there again, since this route takes no cookies; write cookies = true or "refuse"
    another host: portcullis.toml:16 route.posts.unauthenticated: the sign-in page is on host "a.example.com" only, and so are its cookies; write that host, or "refuse"
    no page: portcullis.toml:16 route.posts.unauthenticated: browsers open pages with GET, which this route does not match; leave it out
    no such word: portcullis.toml:16 route.posts.unauthenticated: unknown choice "redirekt"; did you mean "redirect"?
    "##);
}

#[test]
fn a_logo_is_read_from_the_folder_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    std::fs::write(folder.path().join("page.svg"), "<html></html>").unwrap();
    std::fs::write(folder.path().join("large.svg"), vec![b' '; 65 * 1024]).unwrap();
    let load = |name: &str| {
        let text = with_pages(&format!("logo = \"{name}\"\naccent = \"#ff0000\""));
        config::parse(&text, "portcullis.toml", folder.path(), &env)
    };
    assert!(load("logo.svg").unwrap().pages.unwrap().terms.theme.logo.is_some());
    assert_snapshot!(format!("{}\n{}", load("page.svg").unwrap_err(), load("large.svg").unwrap_err()), @r##"
    portcullis.toml:24 pages.logo: the file "page.svg" can't be the logo: it is neither a PNG nor an SVG picture
    portcullis.toml:24 pages.logo: the file "large.svg" can't be the logo: it is larger than 64 KiB, and would be part of every page; make it smaller
    "##);
    assert!(!mistakes(&with_pages("logo = \"x.svg\"")).is_empty());
}
