//! `[cookies]`: plain names for this machine only, and nothing that a browser would drop.

use insta::assert_snapshot;
use portcullis::config::Config;

use crate::{LEAST, and, each, parse, with};

fn secure(text: &str) -> (bool, String) {
    let Config { cookies, .. } = parse(text).unwrap();
    let cookies = cookies.unwrap();
    (cookies.secure, cookies.access.to_string())
}

#[test]
fn without_the_section_browsers_carry_nothing() {
    let config = parse(LEAST).unwrap();
    assert!(config.cookies.is_none());
    assert!(config.routes.iter().filter(|route| route.id.as_str() == "posts").all(|route| !route.cookies));
}

#[test]
fn plain_names_are_for_this_machine_only() {
    let plain = (false, "portcullis-access".to_owned());
    let closed = (true, "__Host-portcullis-access".to_owned());
    assert_eq!(secure(&and("[cookies]")), plain, "loopback, no proxy, no https");
    for (name, text) in [
        ("it may be reached from elsewhere", with(r#"address = "127.0.0.1:8080""#, r#"address = "0.0.0.0:8080""#)),
        (
            "clients see it over TLS",
            with(r#"issuer = "http://127.0.0.1:8080""#, r#"issuer = "https://api.example.com""#),
        ),
        ("a proxy stands in front", format!("trusted_proxies = [\"127.0.0.1\"]\n{LEAST}")),
    ] {
        assert_eq!(secure(&format!("{text}\n[cookies]\n")), closed, "{name}");
    }
    assert_eq!(secure(&and("[cookies]\nsecure = \"always\"")), closed);
}

#[test]
fn what_a_browser_would_drop_is_refused() {
    assert_snapshot!(each([
        ("a prefix without Secure", and("[cookies]\naccess = \"__Host-a\"")),
        ("in other letters", and("[cookies]\nrefresh = \"__secure-r\"")),
        ("for other sites without Secure", and("[cookies]\nsame_site = \"none\"")),
        ("never", and("[cookies]\nsecure = \"never\"")),
        ("no name", and("[cookies]\naccess = \"a b\"")),
        ("one name", and("[cookies]\naccess = \"a\"\nrefresh = \"A\"")),
        ("always due", and("[cookies]\nearly_refresh = \"8m\"")),
        ("strict rotation", format!("{}\n[cookies]", with("audience = \"portcullis\"", "audience = \"portcullis\"\nretry_window = \"0s\""))),
        ("a path", and("[cookies]\ntrusted_origins = [\"https://app.example.com/\"]")),
        ("a page without TLS", and("[cookies]\nsecure = \"always\"\ntrusted_origins = [\"http://app.example.com\"]")),
        ("everybody", and("[cookies]\ntrusted_origins = [\"*\"]")),
        ("a route without the section", with("policy = \"public\"", "policy = \"optional\"\ncookies = true")),
        ("a route that looks at none", format!("{}\n[cookies]", with("policy = \"public\"", "policy = \"public\"\ncookies = true"))),
    ]), @r##"
        a prefix without Secure: portcullis.toml:17 cookies.access: browsers drop "__Host-a", since cookies are not Secure here; write a plain name, or secure = "always"
        in other letters: portcullis.toml:17 cookies.refresh: browsers drop "__secure-r", since cookies are not Secure here; write a plain name, or secure = "always"
        for other sites without Secure: portcullis.toml:17 cookies.same_site: browsers drop cookies for other sites that are not Secure; write "lax", or secure = "always"
        never: portcullis.toml:17 cookies.secure: unknown choice "never"; write "auto" or "always"
        no name: portcullis.toml:17 cookies.access: a name has letters, digits and !#$%&'*+-.^_`|~ only
        one name: portcullis.toml:16 cookies: access and refresh name one cookie; write two names
        always due: portcullis.toml:17 cookies.early_refresh: tokens would be renewed over and over; write at most "450s", half of access_ttl
        strict rotation: portcullis.toml:17 cookies: browsers send several requests at once with one token, which a shorter [tokens] retry_window takes for theft; write "5s" or more there
        a path: portcullis.toml:17 cookies.trusted_origins: "https://app.example.com/" is no origin: an origin has a host in lower case, as browsers write it, and no path; write "https://app.example.com"
        a page without TLS: portcullis.toml:18 cookies.trusted_origins: anybody on the way can forge a page that comes without TLS; write https://
        everybody: portcullis.toml:17 cookies.trusted_origins: "*" is every page that there is; name the origins that you trust
        a route without the section: portcullis.toml:16 route.posts.cookies: there are no cookies without [cookies]; write it, or leave this out
        a route that looks at none: portcullis.toml:16 route.posts.cookies: a public route looks at no credentials; leave this out, or write policy = "optional"
        "##);
}
