//! Which language a page is in: the best of ours by the client's `Accept-Language` (RFC 9110 §12.5.4).
//! What can't be read is passed over, so a header never makes a page fail. The texts are in `texts.rs`.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, which everybody gets who asks for nothing that we have.
    #[default]
    English,
    /// Korean.
    Korean,
}

impl Language {
    const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// Its tag (RFC 5646), for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The language that the client likes best, of those that we have.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range<'_>> = lines.flat_map(|line| line.split(',')).filter_map(Range::read).collect();
        let mut best = (0, usize::MAX, Self::default());
        for language in Self::ALL {
            let Some((at, range)) = language.matched(&ranges) else { continue };
            // What is liked as much is taken in the order that the client wrote it in.
            if range.quality > best.0 || (range.quality == best.0 && range.quality > 0 && at < best.1) {
                best = (range.quality, at, language);
            }
        }
        best.2
    }

    /// The range that speaks of this language, `*` only if no other does (RFC 4647 §3.3.1).
    fn matched<'r>(self, ranges: &'r [Range<'r>]) -> Option<(usize, &'r Range<'r>)> {
        let named = ranges.iter().enumerate().filter(|(_, range)| range.primary.eq_ignore_ascii_case(self.tag()));
        let any = || ranges.iter().enumerate().find(|(_, range)| range.primary == "*");
        named.max_by(|(at, one), (other_at, other)| (one.quality, other_at).cmp(&(other.quality, at))).or_else(any)
    }
}

/// One language range and how much it is liked, in thousandths.
struct Range<'a> {
    primary: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    /// `ko-KR;q=0.8`; nothing if it is not written so.
    fn read(raw: &'a str) -> Option<Self> {
        let (range, weight) = raw.split_once(';').map_or((raw, None), |(range, weight)| (range, Some(weight)));
        let quality = weight.map_or(Some(1000), |weight| {
            let (name, value) = weight.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))?
        })?;
        let primary = range.trim().split('-').next().filter(|primary| !primary.is_empty())?;
        Some(Self { primary, quality })
    }
}

/// A weight (RFC 9110 §12.4.2): `0` or `1`, with up to three digits behind the point.
fn thousandths(raw: &str) -> Option<u16> {
    let (whole, part) = raw.split_once('.').unwrap_or((raw, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn preferred(lines: &[&str]) -> Language {
        let headers = lines.iter().map(|line| (ACCEPT_LANGUAGE, line.parse().unwrap()));
        Language::preferred(&headers.collect())
    }

    #[test]
    fn the_language_that_is_liked_best_wins() {
        use Language::{English, Korean};
        for (lines, expected) in [
            (&[][..], English),
            (&["ko"], Korean),
            (&["KO-kr"], Korean),
            (&["ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"], Korean),
            (&["en-GB,en;q=0.9,ko;q=0.8"], English),
            (&["ko;q=0.8, en;q=0.9"], English),
            (&["en;q=0.8, ko;q=0.80"], English),
            (&["ko;q=0.8, en;q=0.8"], Korean),
            (&["fr, ko;q=0.1"], Korean),
            (&["fr", "ko;q=0.5"], Korean),
            (&["fr, de"], English),
            (&["*"], English),
            (&["ko;q=0.3, *;q=0.5"], English),
            (&["en;q=0, *"], Korean),
            (&["en;q=0"], English),
            (&["ko;q=0, *;q=0.1"], English),
            (&["en;q=0.4, en-GB;q=0.9, ko;q=0.5"], English),
            (&["ko;q=2, en;q=0.1"], English),
            (&["ko;q=0.1234, en;q=0.1"], English),
            (&["ko;level=1, en;q=0.1"], English),
            (&["korean, ,;q=1,-"], English),
        ] {
            assert_eq!(preferred(lines), expected, "{lines:?}");
        }
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn no_header_makes_it_fail(text in "[ -~]{0,80}") {
                preferred(&[&text]);
            }
        }
    }
}
