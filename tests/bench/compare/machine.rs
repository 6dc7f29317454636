//! What was measured with, and on what: versions as the programs tell them, and the machine as Linux does.

use std::path::Path;
use std::process::Command;

use crate::Wrong;

/// Versions, one a line.
pub(crate) fn versions(portcullis: &Path, envoy: &Path) -> Vec<(&'static str, String)> {
    let (portcullis, envoy) = (portcullis.display().to_string(), envoy.display().to_string());
    vec![
        ("Portcullis", format!("{}, commit {}", first_line(&portcullis, &["--version"]), commit())),
        ("Pingora", locked("pingora")),
        ("nginx", first_line("nginx", &["-v"])),
        ("Lua for nginx", package("libnginx-mod-http-lua")),
        ("HAProxy", first_line("haproxy", &["-v"])),
        ("Envoy", first_line(&envoy, &["--version"])),
        ("Redis", first_line("redis-server", &["--version"])),
        ("Rust", first_line("rustc", &["--version"])),
        ("Kernel", first_line("uname", &["-sr"])),
    ]
}

/// Its processor and its cores.
pub(crate) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cores = info.lines().filter(|line| line.starts_with("processor")).count().max(cores);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}

/// Of the time of all cores, what the host may take while something is measured, or it is measured again.
pub(crate) const STOLEN: f64 = 0.02;
/// How often at the most.
const TRIES: usize = 3;

/// What `measure` finds while the machine belongs to us, or at the last try.
pub(crate) async fn undisturbed<T>(measure: impl AsyncFn() -> Result<T, Wrong>) -> Result<T, Wrong> {
    for _ in 1..TRIES {
        let before = Stolen::now();
        let found = measure().await?;
        if before.share() <= STOLEN {
            return Ok(found);
        }
    }
    measure().await
}

/// What the host of a virtual machine took of its cores so far.
#[derive(Clone, Copy)]
pub(crate) struct Stolen {
    stolen: u64,
    all: u64,
}

impl Stolen {
    /// By `/proc/stat`, in ticks since the machine was started.
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = stat.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted with users.
        let ticks: Vec<u64> = ticks.take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        Self { stolen: ticks.get(7).copied().unwrap_or_default(), all: ticks.iter().sum() }
    }

    /// Its share of the time since.
    #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
    pub(crate) fn share(self) -> f64 {
        let now = Self::now();
        now.stolen.saturating_sub(self.stolen) as f64 / now.all.saturating_sub(self.all).max(1) as f64
    }
}

/// Today's date.
pub(crate) fn today() -> String {
    first_line("date", &["--utc", "+%Y-%m-%d"])
}

fn commit() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let commit = first_line("git", &["-C", folder, "rev-parse", "--short", "HEAD"]);
    let changed = Command::new("git").args(["-C", folder, "diff", "--quiet", "HEAD", "--", "*.rs", "*.toml"]).status();
    if changed.is_ok_and(|status| status.success()) { commit } else { format!("{commit} with changes") }
}

/// The version of a library in our lock file.
fn locked(name: &str) -> String {
    let lock = include_str!("../../../Cargo.lock");
    let version = lock.split("[[package]]").find_map(|package| {
        let rest = package.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
        rest.split_once('"').map(|(version, _)| version)
    });
    version.unwrap_or("unknown").to_owned()
}

fn package(name: &str) -> String {
    first_line("dpkg-query", &["--show", "--showformat=${Version}", name])
}

/// The first line that a program says, on either of its outputs.
fn first_line(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else {
        return "not there".to_owned();
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown");
    line.rsplit("  version: ").next().unwrap_or(line).to_owned()
}
