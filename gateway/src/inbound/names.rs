//! Which names of headers are not a client's to send. Names are compared folded, since servers fold them too: CGI turns
//! `-` into `_`, some drop what they don't like, so only letters and digits tell names apart. What becomes of
//! such a header is decided elsewhere.

use http::HeaderName;

/// What we assert ourselves, folded; and all that begins with [`MANAGED_PREFIX`].
const MANAGED: [&str; 7] = ["xuserid", "xuserroles", "xuserscopes", "xsessionid", "xrequestid", "xrealip", "forwarded"];
const MANAGED_PREFIX: &str = "xforwarded";

/// By which some servers take another path, method or host than those that were checked.
const OVERRIDES: [&str; 20] = [
    "xoriginalurl",
    "xoriginalpath",
    "xenvoyoriginalpath",
    "xoverrideurl",
    "scriptname",
    "xscriptname",
    "xoriginaluri",
    "xoriginalhost",
    "xoriginalmethod",
    "xrewriteurl",
    "xhttpmethod",
    "xhttpmethodoverride",
    "xmethodoverride",
    "xhttphostoverride",
    "xhost",
    "xscheme",
    "xurlscheme",
    "frontendhttps",
    // Next.js skips its own checks for this one (CVE-2025-29927), and CGI makes HTTP_PROXY of that (CVE-2016-5385).
    "xmiddlewaresubrequest",
    "proxy",
];

/// In which other proxies tell their servers an address or a user: ours may believe them, and clients may not send them.
const CLAIMS: [&str; 31] = [
    "xuser",
    "xusername",
    "xuseremail",
    "xusergroups",
    "xendpointapiuserinfo",
    "xapigatewayapiuserinfo",
    "trueclientip",
    "clientip",
    "proxyclientip",
    "wlproxyclientip",
    "xclientip",
    "xclusterclientip",
    "xoriginatingip",
    "xremoteip",
    "xremoteaddr",
    "xenvoyexternaladdress",
    "xappengineuserip",
    "cfconnectingip",
    "cfconnectingipv6",
    "fastlyclientip",
    "flyclientip",
    "xazureclientip",
    "xazuresocketip",
    "remoteaddr",
    "remoteuser",
    "remotename",
    "remoteemail",
    "remotegroups",
    "xwebauthuser",
    "clientcert",
    "clientcertchain",
];
/// Families of such names.
const CLAIM_PREFIXES: [&str; 18] = [
    "xremoteuser",
    "xauthenticated",
    "xconsumer",
    "xarrclientcert",
    "xtlsclientcert",
    "xclientverify",
    "xauthrequest",
    "xauthentik",
    "xclientcert",
    "xssl",
    "sslclient",
    "xpomerium",
    "xgoogauthenticateduser",
    "xgoogiapjwt",
    "xmsclientprincipal",
    "xamznoidc",
    "cfaccess",
    "tailscaleuser",
];

/// What frames a message or says what it is: read by their exact names only, so anything else that folds to one is a
/// second word for it. Also what a `Connection` may not name, or clients could have it taken away behind our checks.
const EXACT: [&str; 12] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "referer",
    "trailer",
    "transfer-encoding",
];

/// [`EXACT`] as servers may read them.
const EXACT_FOLDED: [&str; 12] = [
    "authorization",
    "connection",
    "contentencoding",
    "contentlength",
    "contenttype",
    "cookie",
    "expect",
    "host",
    "origin",
    "referer",
    "trailer",
    "transferencoding",
];

/// By the first byte of a folded name, how long those here are that begin with it: bit `n` for `n` bytes. Most names of
/// a request begin otherwise or are of another length, and so need not be compared with any.
static SIEVE: [u64; 256] = {
    let sieve = sifted([0; 256], &MANAGED, false);
    let sieve = sifted(sieve, &[MANAGED_PREFIX], true);
    let sieve = sifted(sieve, &OVERRIDES, false);
    let sieve = sifted(sieve, &CLAIMS, false);
    let sieve = sifted(sieve, &CLAIM_PREFIXES, true);
    sifted(sieve, &EXACT_FOLDED, false)
};

/// `sieve` with `names` in it; a family is in it with whatever is longer.
const fn sifted(mut sieve: [u64; 256], names: &[&str], are_families: bool) -> [u64; 256] {
    let mut at = 0;
    while at < names.len() {
        let name = names[at].as_bytes();
        let lengths = if are_families { u64::MAX << name.len() } else { 1 << name.len() };
        sieve[name[0] as usize] |= lengths;
        at += 1;
    }
    sieve
}

/// The letters and digits of a name, in lower case: as many as tell it from every name and family here.
struct Folded {
    bytes: [u8; Self::ENOUGH],
    length: usize,
}

impl Folded {
    const ENOUGH: usize = 32;

    fn of(name: &str) -> Self {
        let mut folded = Self { bytes: [0; Self::ENOUGH], length: 0 };
        for (place, byte) in folded.bytes.iter_mut().zip(self::folded(name)) {
            *place = byte;
            folded.length += 1;
        }
        folded
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|other| self.as_bytes() == other.as_bytes())
    }

    fn begins(&self, prefix: &str) -> bool {
        self.as_bytes().starts_with(prefix.as_bytes())
    }

    /// Whether there is any name here that it could be.
    fn is_suspect(&self) -> bool {
        SIEVE[usize::from(self.bytes[0])] >> self.length & 1 == 1
    }

    fn is_managed(&self) -> bool {
        self.is_one_of(&MANAGED) || self.is_one_of(&OVERRIDES) || self.begins(MANAGED_PREFIX)
    }

    fn is_claim(&self) -> bool {
        self.is_one_of(&CLAIMS) || CLAIM_PREFIXES.iter().any(|prefix| self.begins(prefix))
    }
}

/// The letters and digits of a name, in lower case.
pub(crate) fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

/// Whether a server that ignores case and punctuation would read `name` as a managed header, or as an order to serve
/// something else than what was checked.
pub(crate) fn is_managed(name: &str) -> bool {
    Folded::of(name).is_managed()
}

/// Whether `name` is not for a client to send: a server that ignores case and punctuation would read it as a managed
/// header, as an order to serve something else than what was checked, or as another header than it is; or one behind
/// another proxy would believe it about who sends the request.
pub(crate) fn is_not_theirs(name: &HeaderName) -> bool {
    let folded = Folded::of(name.as_str());
    folded.is_suspect() && (folded.is_managed() || folded.is_claim() || is_lookalike(name, &folded))
}

/// Whether a lenient server would read `name` as a header that it is not.
fn is_lookalike(name: &HeaderName, folded: &Folded) -> bool {
    folded.is_one_of(&EXACT_FOLDED) && !EXACT.contains(&name.as_str())
}

/// Whether `name`, in a `Connection` header, would take away what others must see (RFC 9110 §7.6.1).
pub(super) fn is_end_to_end(name: &str) -> bool {
    let folded = Folded::of(name);
    folded.is_one_of(&EXACT_FOLDED) || folded.is_managed() || folded.is_claim() || folded.begins("secfetch")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_claim(name: &str) -> bool {
        Folded::of(name).is_claim()
    }

    #[test]
    fn names_are_written_as_they_are_compared() {
        let all = MANAGED.iter().chain(&OVERRIDES).chain(&CLAIMS).chain(&CLAIM_PREFIXES).chain(&EXACT_FOLDED);
        for name in all.chain(&[MANAGED_PREFIX]) {
            assert!(folded(name).eq(name.bytes()) && name.len() < Folded::ENOUGH, "{name}");
        }
        for (exact, name) in EXACT.iter().zip(EXACT_FOLDED) {
            assert!(folded(exact).eq(name.bytes()), "{exact}");
        }
    }

    /// What the sieve lets through is compared with every name, so it may keep back none of them, however long.
    #[test]
    fn the_sieve_keeps_no_name_back() {
        let names = MANAGED.iter().chain(&OVERRIDES).chain(&CLAIMS).chain(&EXACT_FOLDED).map(|name| (*name).to_owned());
        let families = CLAIM_PREFIXES.iter().chain(&[MANAGED_PREFIX]);
        let families = families.flat_map(|family| (0..40).map(move |more| format!("{family}{}", "x".repeat(more))));
        for name in names.chain(families) {
            assert!(Folded::of(&name).is_suspect(), "{name}");
        }
        for name in ["", "-", "accept", "user-agent", "accept-encoding", "if-none-match"] {
            assert!(!Folded::of(name).is_suspect(), "{name}");
        }
    }

    #[test]
    fn every_spelling_of_a_managed_name_is_managed() {
        for name in [
            "x-user-id",
            "X-User-Id",
            "x_user_id",
            "X-USER_ID",
            "xuserid",
            "x.user.id",
            "x-user-id-",
            "x-user-roles",
            "x-session-id",
            "x_request_id",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_proto",
            "x-forwarded-uri",
            "x-forwarded",
            "x-real-ip",
            "X-Forwarded-Prefix",
            "X-Original-URL",
            "X_Rewrite_Url",
            "X-HTTP-Method-Override",
        ] {
            assert!(is_managed(name), "{name}");
        }
        for name in ["x-user-agent", "x-user-idea", "user-id", "x-requested-with", "forwarded-by", "accept"] {
            assert!(!is_managed(name) && !is_claim(name), "{name}");
        }
        for name in
            ["True-Client-IP", "remote_user", "X-Auth-Request-Email", "SSL_CLIENT_S_DN", "Cf-Access-Jwt-Assertion"]
        {
            assert!(is_claim(name), "{name}");
        }
    }

    #[test]
    fn what_looks_like_another_header_is_told_from_it() {
        let lookalike = |name: &'static str| is_lookalike(&HeaderName::from_static(name), &Folded::of(name));
        for name in ["content_length", "transfer.encoding", "author-ization", "cookie_", "h.o.s.t", "content_type"] {
            assert!(lookalike(name), "{name}");
        }
        for name in EXACT.into_iter().chain(["content-range", "cookie2", "x-host-name"]) {
            assert!(!lookalike(name), "{name}");
        }
    }

    #[test]
    fn a_connection_may_name_what_is_of_one_hop_only() {
        for name in
            ["close", "keep-alive", "Upgrade", "TE", "HTTP2-Settings", "Proxy-Connection", "X-Own-Hop", "trailers"]
        {
            assert!(!is_end_to_end(name), "{name}");
        }
        for name in ["Cookie", "x_user_id", "Authorization", "Sec-Fetch-Site", "X-Forwarded-For", "Remote-User", "host"]
        {
            assert!(is_end_to_end(name), "{name}");
        }
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn no_punctuation_and_no_case_hides_a_name(
                at in 0..MANAGED.len(),
                marks in prop::collection::vec("[-_.!#$%&'*+^`|~]{0,2}", 20),
                upper in prop::collection::vec(any::<bool>(), 20),
            ) {
                let letter = |(at, letter): (usize, char)| if upper[at] { letter.to_ascii_uppercase() } else { letter };
                let letters = MANAGED[at].chars().enumerate().map(letter);
                let spelt: String = letters.zip(&marks).flat_map(|(letter, marks)| marks.chars().chain([letter])).collect();
                prop_assert!(is_managed(&spelt), "{}", spelt);
                prop_assert!(is_end_to_end(&spelt));
                prop_assert!(HeaderName::from_bytes(spelt.as_bytes()).is_ok(), "it is a name that a client can send");
            }

            #[test]
            fn any_text_can_be_asked_about(name in "\\PC{0,30}") {
                let _ = (is_managed(&name), is_claim(&name), is_end_to_end(&name));
            }
        }
    }
}
