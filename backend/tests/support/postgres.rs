//! A PostgreSQL of the test's own: in a temporary folder, on a free port, gone when dropped.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A running server. Everybody on this machine may connect as `postgres`, and nothing on it lasts.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes and starts a server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or won't start.
    pub(crate) fn start() -> Self {
        let programs = programs().expect("PostgreSQL is needed here and was not found: tests/run installs it");
        let folder = tempfile::Builder::new().prefix("portcullis-postgres-").tempdir().expect("a temporary folder");
        let port = free_port();
        let server = Self { programs, folder, port };
        if as_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder.path()));
        }
        let data = server.data();
        run(server
            .program("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-locale", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data));
        server.resume();
        server
    }

    /// A new, empty database; answers its URL.
    pub(crate) fn create(&self, database: &str) -> String {
        let port = self.port.to_string();
        run(self.program("createdb").args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, database]));
        format!("postgres://postgres@127.0.0.1:{port}/{database}")
    }

    /// Starts the server again.
    pub(crate) fn resume(&self) {
        let folder = self.folder.path().display().to_string();
        let options = format!("-h 127.0.0.1 -p {} -k {folder} -F", self.port);
        let log = self.folder.path().join("log");
        run(self.program("pg_ctl").args(["start", "-w", "-o", &options, "-D"]).arg(self.data()).arg("-l").arg(log));
    }

    /// Stops the server, cutting off whoever is connected. Whether it ran is the answer.
    pub(crate) fn stop(&self) -> bool {
        let stop = &mut self.program("pg_ctl");
        let stop = stop.args(["stop", "-w", "-m", "fast", "-D"]).arg(self.data());
        stop.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// The folder that the server keeps its data in.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// PostgreSQL refuses to run as root, so root hands over to the user that the package made.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        if !as_root() {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args([OsStr::new("-u"), OsStr::new("postgres"), OsStr::new("--"), path.as_os_str()]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn as_root() -> bool {
    Path::new("/proc/self").metadata().expect("this process has an owner").uid() == 0
}

/// Where the server's programs lie: where the path says, or where Debian puts the newest version.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    let complete = |folder: &PathBuf| ["initdb", "pg_ctl", "createdb"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(complete)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn run(command: &mut Command) {
    // Not captured through pipes: the server would hold them open.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("the program can be run");
    assert!(status.success(), "{command:?} failed: {status}");
}
