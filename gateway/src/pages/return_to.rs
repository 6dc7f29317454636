//! Where a browser goes after it signed in: a path of this very origin and nothing else. A [`ReturnTo`] can
//! be put into a `Location` as it is; what is no such path never becomes one. Whether anything is served
//! there is not its concern.

use std::fmt;

use crate::inbound::path::{self, Oddity};

/// The most bytes of a return path; a longer one is not worth keeping.
const MAX_BYTES: usize = 2048;

/// A path of this origin, perhaps with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// The way home, `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a path; `None` if a browser could take it for another origin, or it is none.
    ///
    /// Browsers drop tabs and line breaks, read `\` as `/`, and take `//` at the start for a host (WHATWG URL
    /// §4.4), so a path here is visible ASCII that begins with one `/`, and has neither `\` nor `//`.
    pub fn parse(raw: &str) -> Option<Self> {
        let path = raw.split_once('?').map_or(raw, |(path, _)| path);
        let visible = raw.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
        let plain = path::canonical(path).is_ok_and(|path| Oddity::in_path(&path).next().is_none());
        let holds = raw.len() <= MAX_BYTES && visible && !path.contains("//") && plain;
        holds.then(|| Self(raw.into()))
    }

    /// The path as it stands in a `Location`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.0.split_once('?').map_or(&*self.0, |(path, _)| path)
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn a_path_of_this_origin_is_kept_as_it_is() {
        for path in ["/", "/posts", "/posts/5?after=a%20b&x=//y", "/a/", "/%ED%95%9C", "/search?to=https://a.test/"] {
            assert_eq!(ReturnTo::parse(path).as_ref().map(ReturnTo::as_str), Some(path));
        }
        assert_eq!(ReturnTo::parse("/a?b?c").unwrap().path(), "/a");
    }

    #[test]
    fn what_may_lead_elsewhere_is_no_return_path() {
        let too_long = format!("/{}", "a".repeat(MAX_BYTES));
        for raw in [
            "",
            "posts",
            "https://evil.test/",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/a//evil.test",
            "/\t/evil.test",
            "\t//evil.test",
            "//\tevil.test",
            "\u{1}//evil.test",
            "https:evil.test",
            "https:/evil.test",
            "hTTps:\\\\evil.test",
            "//evil%2etest",
            "/.//evil.test",
            "/%2e//evil.test",
            "/%2f/evil.test",
            "/%5cevil.test",
            "/%09/evil.test",
            "@evil.test",
            "evil.test",
            ":80/x",
            "data:text/html,x",
            "vbscript:x",
            "//user@gate.test:evil@evil.test/",
            "／／evil.test",
            "/\u{2028}/evil.test",
            "/\u{85}/evil.test",
            "/x\u{560a}\u{560d}Set-Cookie:a=b",
            "/x?\r\nSet-Cookie: a=b",
            "/x?y=\\evil",
            "/\n/evil.test",
            "/\r\nSet-Cookie: a=b",
            " /posts",
            "/posts ",
            "/a b",
            "/a\u{0}",
            "/한",
            "/a#b",
            "/..//evil.test",
            "/../a",
            "/%2e%2e/a",
            "/a%2fb",
            "/a%5cb",
            "/a%0d%0ab",
            "/%zz",
            "javascript:alert(1)",
            "?a",
            &too_long,
        ] {
            assert_eq!(ReturnTo::parse(raw), None, "{raw:?}");
        }
    }

    fn lands_on_this_origin(raw: &str) {
        let Some(return_to) = ReturnTo::parse(raw) else { return };
        let page = Url::parse("https://gate.test/auth/sign-in?x").unwrap();
        let landed = page.join(return_to.as_str()).unwrap();
        assert_eq!(landed.origin(), page.origin(), "{raw:?}");
        assert!(http::HeaderValue::from_str(return_to.as_str()).is_ok());
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn any_text_that_passes_stays_on_this_origin(raw in "\\PC{0,40}") {
                lands_on_this_origin(&raw);
            }

            #[test]
            fn any_dangerous_text_that_passes_stays_on_this_origin(raw in "/[/\\\\.:@?#%a\t\r\n ]{0,12}(evil\\.test)?") {
                lands_on_this_origin(&raw);
            }
        }
    }
}
