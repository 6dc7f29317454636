//! How pages look: one style sheet, and three things that an operator may change in it: a title, a logo and
//! a colour. A [`Theme`] is made of checked parts, so that nothing from the configuration can break out of
//! the style or the page. The only text that pages take in without escaping is the style that is made here.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// The most bytes of a logo: it is part of every page.
pub const MAX_LOGO: usize = 64 * 1024;

/// What an operator may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// The name of the service; none is shown without it.
    pub title: Option<String>,
    /// Its logo.
    pub logo: Option<Logo>,
    /// The colour of what is pressed.
    pub accent: Accent,
}

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent([u8; 3]);

impl Default for Accent {
    fn default() -> Self {
        Self([0x2f, 0x55, 0xb7])
    }
}

impl Accent {
    /// Reads `#rrggbb`.
    pub fn parse(raw: &str) -> Option<Self> {
        let digits = raw.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Black or white, whichever is easier to read on it: at least 4.5 to 1 for every colour.
    fn text(self) -> &'static str {
        let light = self.luminance();
        let (on_black, on_white) = ((light + 0.05) / 0.05, 1.05 / (light + 0.05));
        if on_white >= on_black { "#fff" } else { "#000" }
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

/// A picture that is safe to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    url: String,
}

/// Why a file is no logo. The message tells what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LogoError {
    /// Larger than [`MAX_LOGO`].
    #[error("it is larger than 64 KiB, and would be part of every page; make it smaller")]
    TooLarge,
    /// Neither of the two formats.
    #[error("it is neither a PNG nor an SVG picture")]
    Format,
    /// An SVG that a browser would not draw in a page.
    #[error("a browser draws an SVG only if its first tag is <svg xmlns=\"http://www.w3.org/2000/svg\">; add that")]
    NoNamespace,
    /// An SVG that does more than to be seen.
    #[error("it holds <script>, <foreignObject>, an entity or an event handler; export it as a plain SVG")]
    Active,
}

impl Logo {
    /// Reads a PNG or SVG file.
    pub fn read(bytes: &[u8]) -> Result<Self, LogoError> {
        if bytes.len() > MAX_LOGO {
            return Err(LogoError::TooLarge);
        }
        let media_type = if is_png(bytes) {
            "image/png"
        } else {
            check_svg(bytes)?;
            "image/svg+xml"
        };
        Ok(Self { url: format!("data:{media_type};base64,{}", STANDARD.encode(bytes)) })
    }

    /// The picture as a `data:` URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The signature and the header chunk (PNG §5.2, §11.2.1).
fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16) == Some(b"IHDR")
}

/// Browsers run nothing in a picture of `<img>`, but somebody may open it on its own: it must be inert.
fn check_svg(bytes: &[u8]) -> Result<(), LogoError> {
    let text = std::str::from_utf8(bytes).map_err(|_| LogoError::Format)?;
    let root = after_prolog(text.trim_start_matches('\u{feff}')).and_then(|rest| rest.strip_prefix("<svg"));
    let root = root.ok_or(LogoError::Format)?;
    let tag = root.split('>').next().unwrap_or("");
    if !tag.starts_with(char::is_whitespace) || !tag.contains("http://www.w3.org/2000/svg") {
        return Err(LogoError::NoNamespace);
    }
    let folded = text.to_ascii_lowercase();
    let active = ["<script", "<foreignobject", "<!entity", "javascript:"].iter().any(|mark| folded.contains(mark));
    if active || has_handler(&folded) { Err(LogoError::Active) } else { Ok(()) }
}

/// What follows the XML declaration, comments and the document type.
fn after_prolog(mut text: &str) -> Option<&str> {
    loop {
        text = text.trim_start();
        let end = match text {
            _ if text.starts_with("<?") => "?>",
            _ if text.starts_with("<!--") => "-->",
            _ if text.starts_with("<!DOCTYPE") => ">",
            _ => return Some(text),
        };
        text = text.split_once(end)?.1;
    }
}

/// An attribute such as `onload=`.
fn has_handler(folded: &str) -> bool {
    let names = folded.split('=').filter_map(|before| before.rsplit(|c: char| !c.is_ascii_alphabetic()).next());
    let mut names: Vec<&str> = names.collect();
    names.pop(); // What follows the last "=" is no name.
    names.iter().any(|name| name.len() > 2 && name.starts_with("on"))
}

/// The style sheet of every page, and its hash for the content security policy.
#[derive(Clone, Debug)]
pub(super) struct Style {
    css: String,
    hash: String,
}

impl Style {
    pub(super) fn of(theme: &Theme) -> Self {
        let Accent([red, green, blue]) = theme.accent;
        let accent = format!("#{red:02x}{green:02x}{blue:02x}");
        let css = include_str!("style.css").replace("@accent", &accent).replace("@on", theme.accent.text());
        let css: String = css.lines().map(str::trim).collect();
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, css.as_bytes()));
        Self { css, hash }
    }

    /// What a page may do: be styled by this very sheet, show pictures that it holds, post to this origin.
    pub(super) fn policy(&self) -> String {
        format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            self.hash
        )
    }

    /// The sheet, which stands in the page as it is: CSS is not escaped in HTML.
    pub(super) fn markup(&self) -> maud::PreEscaped<&str> {
        maud::PreEscaped(&self.css)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_six_digits_and_nothing_else() {
        assert_eq!(Accent::parse("#0a7D5b"), Some(Accent([0x0a, 0x7d, 0x5b])));
        for raw in ["", "#", "red", "#fff", "0a7d5b", "#0a7d5g", "#0a7d5b;", "#+a7d5b", "#한글"] {
            assert_eq!(Accent::parse(raw), None, "{raw}");
        }
    }

    #[test]
    fn text_on_every_colour_can_be_read() {
        for code in (0..=0xff_ff_ff_u32).step_by(4099) {
            let [_, red, green, blue] = code.to_be_bytes();
            let accent = Accent([red, green, blue]);
            let light = accent.luminance();
            let contrast = if accent.text() == "#fff" { 1.05 / (light + 0.05) } else { (light + 0.05) / 0.05 };
            assert!(contrast >= 4.5, "{accent:?} {contrast}");
        }
    }

    const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1"/></svg>"#;

    #[test]
    fn a_logo_is_an_inert_picture() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01";
        assert!(Logo::read(png).unwrap().url().starts_with("data:image/png;base64,iVBORw0KGgo"));
        let prolog = format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- made -->\n<!DOCTYPE svg>\n{SVG}");
        for good in [SVG, &prolog] {
            assert!(Logo::read(good.as_bytes()).unwrap().url().starts_with("data:image/svg+xml;base64,"));
        }
        let inside = |part: &str| SVG.replace("<path", &format!("{part}<path"));
        for (name, bytes, error) in [
            ("nothing", String::new(), LogoError::Format),
            ("a page", format!("<html>{SVG}</html>"), LogoError::Format),
            ("another tag", "<svgx xmlns=\"http://www.w3.org/2000/svg\">".to_owned(), LogoError::NoNamespace),
            ("no namespace", "<svg viewBox=\"0 0 1 1\"/>".to_owned(), LogoError::NoNamespace),
            ("script", inside("<SCRIPT>1</SCRIPT>"), LogoError::Active),
            ("a page inside", inside("<foreignObject/>"), LogoError::Active),
            ("a handler", SVG.replace("<path", "<path\nonLoad=\"x\""), LogoError::Active),
            ("an entity", format!("<!DOCTYPE svg [<!ENTITY a \"b\"]>{SVG}"), LogoError::Active),
            ("too large", format!("{SVG}{}", " ".repeat(MAX_LOGO)), LogoError::TooLarge),
        ] {
            assert_eq!(Logo::read(bytes.as_bytes()), Err(error), "{name}");
        }
        assert_eq!(Logo::read(b"GIF89a\xff"), Err(LogoError::Format));
    }

    #[test]
    fn the_style_has_the_colour_and_a_hash_of_what_is_sent() {
        let theme = Theme { accent: Accent::parse("#ffcc00").unwrap(), ..Theme::default() };
        let style = Style::of(&theme);
        assert!(
            style.css.contains("#ffcc00") && style.css.contains("#000") && !style.css.contains('@') || {
                style.css.split("@media").all(|part| !part.contains('@'))
            }
        );
        assert!(!style.css.contains('<'), "it can't end its own tag");
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.markup().0.as_bytes()));
        assert!(style.policy().contains(&format!("'sha256-{hash}'")));
    }
}
