//! A real Chromium of one's own, without a window: started with a fresh profile, driven through chromedriver
//! on a free port, ended with the test. It is the browser that people have, cookies, security checks and all;
//! what a test does with it goes through [`WebDriver`].

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Nothing that a test did not ask for, and no tab that sleeps because another one is seen.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];

/// A running browser.
pub struct Chromium {
    driver: WebDriver,
    profile: TempDir,
    _chromedriver: Child,
}

impl Chromium {
    /// Starts one that likes English.
    pub async fn start() -> Self {
        Self::speaking("en-US,en").await
    }

    /// Starts one that likes these languages, in this order.
    ///
    /// # Panics
    /// If there is no Chromium; `tests/run` installs it.
    pub async fn speaking(languages: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let (chromedriver, port) = start_chromedriver(profile.path()).await;
        let mut wanted = DesiredCapabilities::chrome();
        let folder = format!("--user-data-dir={}", profile.path().display());
        for argument in ARGUMENTS.into_iter().chain([&*folder]) {
            wanted.add_arg(argument).expect("a text is a capability");
        }
        let preferences = json!({ "intl.accept_languages": languages });
        wanted.add_experimental_option("prefs", preferences).expect("an object is a capability");
        wanted.set_binary(&find(&["chromium", "chromium-browser", "google-chrome"])).expect("a text is a capability");
        let started = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted);
        let started = started.request_timeout(Duration::from_mins(1)).connect().await;
        Self { driver: started.expect("Chromium starts"), profile, _chromedriver: chromedriver }
    }
}

impl Deref for Chromium {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.driver
    }
}

impl Drop for Chromium {
    /// Ends the browser by its process id, which Chromium writes into its profile; its other processes, and
    /// chromedriver, go with it.
    fn drop(&mut self) {
        let lock = std::fs::read_link(self.profile.path().join("SingletonLock"));
        let process = lock.ok().and_then(|lock| lock.to_str()?.rsplit('-').next()?.parse::<u32>().ok());
        if let Some(process) = process {
            let _ = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        let _ = self.driver.clone().leak(); // Nobody is left who could be asked to quit.
    }
}

async fn start_chromedriver(home: &Path) -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").env("HOME", home).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("chromedriver is not there: run tests/run, which installs it");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let port = line
            .rsplit_once("started successfully on port ")
            .and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, port);
        }
    }
    panic!("chromedriver said no port");
}

/// The first of these programs that is there.
fn find(names: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = places.find(|place| place.is_file()).expect("Chromium is not there: run tests/run, which installs it");
    found.display().to_string()
}
