//! A contender that runs: its configuration filled in from the templates in `tests/bench/peers`, a process of its own on
//! one core, in a folder that goes with it. Which of them are measured is said in `cells.rs`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use portcullis_tests::bench::process::{self, Usage};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::Wrong;
use crate::bench::Bench;
use crate::cells::{Algorithm, Check, Gateway, Setup};

/// The contender's core; the other one is that of the load, the upstream and Redis.
pub(crate) const CORE: &str = "0";
/// How long a contender may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Programs, where they are not what PATH has.
pub(crate) struct Programs {
    pub(crate) portcullis: PathBuf,
    /// The same by a guided build, if there is one.
    pub(crate) guided: Option<PathBuf>,
    pub(crate) backend: PathBuf,
    pub(crate) bare: PathBuf,
    pub(crate) envoy: PathBuf,
}

/// A running contender.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: tempfile::TempDir,
}

/// Names in a template, and what takes their place.
pub(crate) type Words = Vec<(&'static str, String)>;

impl Running {
    /// Starts it on one core, and waits until it listens.
    pub(crate) async fn start(setup: &Setup, bench: &Bench) -> Result<Self, Wrong> {
        Self::start_with(setup, bench, Vec::new(), CORE).await
    }

    /// The same, with words that go before those of this benchmark, on these cores.
    pub(crate) async fn start_with(setup: &Setup, bench: &Bench, words: Words, cores: &str) -> Result<Self, Wrong> {
        let address = free_address()?;
        let folder = tempfile::tempdir_in(bench.scratch()).map_err(|why| why.to_string())?;
        open_to_workers(folder.path())?;
        let mut words = words;
        words.extend(words_of(setup, bench, address, folder.path()));
        let command = command(setup, bench, address, folder.path(), &words)?;
        let mut running = Self { address, child: spawn(&command, folder.path(), cores)?, folder };
        running.listens().await?;
        Ok(running)
    }

    /// A program that is no contender, on all cores.
    pub(crate) async fn start_program(
        bench: &Bench,
        program: &Path,
        address: SocketAddr,
        args: &[&str],
    ) -> Result<Self, Wrong> {
        let folder = tempfile::tempdir_in(bench.scratch()).map_err(|why| why.to_string())?;
        let mut command = vec![program.display().to_string()];
        command.extend(args.iter().map(ToString::to_string));
        let mut running = Self { address, child: spawn(&command, folder.path(), "0,1")?, folder };
        running.listens().await?;
        Ok(running)
    }

    /// What it has cost so far, with its children.
    pub(crate) fn usage(&self) -> Usage {
        self.child.id().map(process::family).unwrap_or_default()
    }

    /// What it said, or the end of it.
    pub(crate) fn said(&self) -> String {
        let said = std::fs::read_to_string(self.folder.path().join("out.log")).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
        let end = lines[lines.len().saturating_sub(5)..].join("\n");
        end.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// Asks it to end, and ends it if it does not.
    pub(crate) async fn stop(mut self) -> Result<(), Wrong> {
        if let Some(id) = self.child.id() {
            let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => self.child.kill().await.map_err(|why| why.to_string()),
        }
    }

    async fn listens(&mut self) -> Result<(), Wrong> {
        let end = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("does not load ({status}): {}", self.said()));
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("does not listen within {PATIENCE:?}: {}", self.said()))
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, Wrong> {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr());
    probe.map_err(|why| why.to_string())
}

/// Lets those in who give up root, as nginx does.
pub(crate) fn open_to_workers(folder: &Path) -> Result<(), Wrong> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).map_err(|why| why.to_string())
}

fn spawn(command: &[String], folder: &Path, cores: &str) -> Result<Child, Wrong> {
    let log = std::fs::File::create(folder.join("out.log")).map_err(|why| why.to_string())?;
    let again = log.try_clone().map_err(|why| why.to_string())?;
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", cores]).args(command).current_dir(folder).env_remove("PORTCULLIS_CONFIG");
    if cores == CORE {
        taskset.env("TOKIO_WORKER_THREADS", "1");
    }
    let spawned = taskset.stdin(Stdio::null()).stdout(again).stderr(log).kill_on_drop(true).spawn();
    spawned.map_err(|why| format!("taskset: {why}"))
}

/// Writes the configuration, and says how the program is called.
fn command(
    setup: &Setup,
    bench: &Bench,
    address: SocketAddr,
    folder: &Path,
    words: &Words,
) -> Result<Vec<String>, Wrong> {
    let write = |name: &str, template: &str| {
        let file = folder.join(name);
        std::fs::write(&file, filled(template, words)).map_err(|why| why.to_string())?;
        Ok::<_, Wrong>(file.display().to_string())
    };
    let programs = bench.programs();
    let call = |program: &Path, args: &[&str]| {
        let program = program.display().to_string();
        std::iter::once(program).chain(args.iter().map(ToString::to_string)).collect()
    };
    Ok(match setup {
        Setup::Portcullis(gateway) => {
            let file = write("portcullis.toml", include_str!("../peers/portcullis.toml"))?;
            let program = programs.guided.as_ref().filter(|_| gateway.guided).unwrap_or(&programs.portcullis);
            call(program, &["--config", &file, "run"])
        }
        Setup::Nginx(check) => {
            let (plain, checked) = (include_str!("../peers/nginx-pass.conf"), include_str!("../peers/nginx-jwt.conf"));
            write("jwt.lua", include_str!("../peers/jwt.lua"))?;
            let file = write("nginx.conf", if check.is_some() { checked } else { plain })?;
            call(Path::new("nginx"), &["-p", &folder.display().to_string(), "-e", "stderr", "-c", &file])
        }
        Setup::Haproxy(check) => {
            let (plain, checked) =
                (include_str!("../peers/haproxy-pass.cfg"), include_str!("../peers/haproxy-jwt.cfg"));
            let file = write("haproxy.cfg", if check.is_some() { checked } else { plain })?;
            call(Path::new("haproxy"), &["-db", "-f", &file])
        }
        Setup::Envoy(check) => {
            let (plain, checked) = (include_str!("../peers/envoy-pass.yaml"), include_str!("../peers/envoy-jwt.yaml"));
            let file = write("envoy.yaml", if check.is_some() { checked } else { plain })?;
            call(&programs.envoy, &["-c", &file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"])
        }
        Setup::Bare => {
            call(&programs.bare, &["--listen", &address.to_string(), "--upstream", &bench.upstream().to_string()])
        }
    })
}

/// The words of this contender, then those of all.
fn words_of(setup: &Setup, bench: &Bench, address: SocketAddr, folder: &Path) -> Words {
    let keys = bench.keys();
    let file = |algorithm, hs256, es256| keys.file(if algorithm == Algorithm::Hs256 { hs256 } else { es256 });
    let mut words: Words = match setup {
        Setup::Portcullis(gateway) => words_of_ours(gateway, bench),
        Setup::Nginx(Some(Check { algorithm, cache })) => vec![
            ("ALGORITHM", algorithm.name().to_owned()),
            ("KEY", file(*algorithm, "hs256.secret", "es256.pub")),
            ("CACHE", cache.to_string()),
        ],
        Setup::Haproxy(Some(Check { algorithm, .. })) => {
            let key = match algorithm {
                Algorithm::Hs256 => keys.secret().to_owned(),
                Algorithm::Es256 => keys.file("es256.pub"),
            };
            vec![("ALGORITHM", algorithm.name().to_owned()), ("KEY", key)]
        }
        Setup::Envoy(Some(Check { algorithm, cache })) => {
            let kept =
                if *cache == 0 { String::new() } else { format!("jwt_cache_config: {{ jwt_cache_size: {cache} }}") };
            vec![("KEY", file(*algorithm, "hs256.json", "es256.json")), ("CACHE", kept)]
        }
        Setup::Nginx(None) | Setup::Haproxy(None) | Setup::Envoy(None) | Setup::Bare => Vec::new(),
    };
    words.extend([
        ("PORT", address.port().to_string()),
        ("FOLDER", folder.display().to_string()),
        ("UPSTREAM", bench.upstream().to_string()),
        ("HOST", bench.upstream().ip().to_string()),
        ("SERVER_PORT", bench.upstream().port().to_string()),
    ]);
    words
}

fn words_of_ours(gateway: &Gateway, bench: &Bench) -> Words {
    let Gateway { algorithm, redis, mode, cache, accuracy, access_log, guided: _ } = *gateway;
    let key = if algorithm == Algorithm::Hs256 { "hs256.secret" } else { "es256.pem" };
    // Redis shares its core with the load, and is not to be given up on for that.
    let redis = redis.then(|| format!("\"{}\"\ntimeout = \"2s\"", bench.redis()));
    vec![
        ("STORE", redis.unwrap_or_else(|| "\"embedded:store.db\"".to_owned())),
        ("MODE", mode.to_owned()),
        ("ALGORITHM", algorithm.name().to_owned()),
        ("KEY", bench.keys().file(key)),
        ("CACHE", cache.to_owned()),
        ("ACCURACY", accuracy.to_owned()),
        ("LEVEL", if access_log { "info" } else { "error" }.to_owned()),
        ("LOGIN_UPSTREAM", "api".to_owned()),
        ("LOGIN_PATH", "/login".to_owned()),
        ("LOGIN_SUBJECT", "/username".to_owned()),
        ("BACKEND", bench.upstream().to_string()),
    ]
}

fn filled(template: &str, words: &Words) -> String {
    words.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}
