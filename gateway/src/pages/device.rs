//! What a `User-Agent` says of a device, in words that its owner knows: a browser and a system. Each product
//! that pretends to be another comes before the one it pretends to be. What is not known stays unknown;
//! versions are not told, since browsers no longer tell the truth about them.

/// What a device is called, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName<'a> {
    /// A browser on a system that we know.
    Browser(&'static str, &'static str),
    /// A browser, or a program by the name it gives itself.
    Program(&'a str),
    /// A system without a browser that we know.
    System(&'static str),
    /// Nothing that could be told.
    Unknown,
}

/// What a browser writes, and what it is called; the first that is found counts.
const BROWSERS: [(&str, &str); 17] = [
    ("KAKAOTALK", "KakaoTalk"),
    ("NAVER(inapp", "Naver"),
    ("Whale/", "Whale"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex"),
    ("OPR/", "Opera"),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

impl<'a> DeviceName<'a> {
    /// Reads a `User-Agent`.
    pub fn read(user_agent: &'a str) -> Self {
        let find = |table: &[(&str, &'static str)]| {
            table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
        };
        match (find(&BROWSERS).or_else(|| headless(user_agent)), find(&SYSTEMS)) {
            (Some(browser), Some(system)) => Self::Browser(browser, system),
            (Some(browser), None) => Self::Program(browser),
            (None, Some(system)) => Self::System(system),
            (None, None) => program(user_agent).map_or(Self::Unknown, Self::Program),
        }
    }
}

fn headless(user_agent: &str) -> Option<&'static str> {
    user_agent.contains("HeadlessChrome/").then_some("Chrome")
}

/// The name before the first version: `curl` of `curl/8.14`.
fn program(user_agent: &str) -> Option<&str> {
    let name = user_agent.split(['/', ' ']).next()?;
    let is_name = (2..=40).contains(&name.len()) && name != "Mozilla";
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_its_owner_would() {
        use DeviceName::{Browser, Program, System, Unknown};
        const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)";
        const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15";
        const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36";
        const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36";
        for (user_agent, expected) in [
            (format!("{MAC} Chrome/148.0.0.0 Safari/537.36"), Browser("Chrome", "macOS")),
            (format!("{MAC} Version/18.5 Safari/605.1.15"), Browser("Safari", "macOS")),
            (format!("{PHONE} Version/18.5 Mobile/15E148 Safari/604.1"), Browser("Safari", "iPhone")),
            (format!("{PHONE} CriOS/148.0 Mobile/15E148 Safari/604.1"), Browser("Chrome", "iPhone")),
            (format!("{PHONE} Mobile/15E148 KAKAOTALK 25.4.1"), Browser("KakaoTalk", "iPhone")),
            (format!("{WINDOWS} Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0"), Browser("Edge", "Windows")),
            (format!("{WINDOWS} Chrome/146.0.0.0 Whale/4.31 Safari/537.36"), Browser("Whale", "Windows")),
            (format!("{ANDROID} SamsungBrowser/28.0 Chrome/130.0 Safari/537.36"), {
                Browser("Samsung Internet", "Android")
            }),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(), {
                Browser("Firefox", "Linux")
            }),
            ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/148.0".to_owned(), Browser("Chrome", "Linux")),
            ("curl/8.14.1".to_owned(), Program("curl")),
            ("Dart/3.8 (dart:io)".to_owned(), Program("Dart")),
            ("okhttp/4.12.0".to_owned(), Program("okhttp")),
            ("MyApp/1.0 (Android 15)".to_owned(), System("Android")),
            ("Mozilla/5.0".to_owned(), Unknown),
            (String::new(), Unknown),
        ] {
            assert_eq!(DeviceName::read(&user_agent), expected, "{user_agent}");
        }
    }
}
