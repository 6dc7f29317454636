//! Every file that we ship loads, and the two big ones document every key that there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::config::{self, Config, ConfigErrors};
use portcullis::limit::{Limit, LimitBy};
use portcullis::routing::{Route, RouteTable, Target};
use rcgen::{CertificateParams, KeyPair};
use toml::{Table, Value};

use crate::{GOOD_SECRET, env};

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let toml_in = |folder: &Path| {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect::<Vec<_>>()
    };
    let mut files = toml_in(&folder);
    files.extend(toml_in(&folder.join("examples")));
    assert!(files.len() >= 6, "{files:?}");
    files
}

/// Loads `text` where the files that it names are, in an environment that has what it names.
fn load(text: &str) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("signing-key.pem"), env("PRIVATE_KEY").unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.path().join("example.crt"), certificate.pem()).unwrap();
    fs::write(folder.path().join("example.key"), key.serialize_pem()).unwrap();
    let env = |name: &str| match name {
        "REDIS_URL" => env("REDIS_URL"),
        "PREVIOUS_PUBLIC_KEY" | "ISSUER_PUBLIC_KEY" => env("PUBLIC_KEY"),
        "WEBHOOK_SECRET" => env("WEBHOOK"),
        "ADMIN_TOKEN" | "REFRESH_SECRET" | "UPSTREAM_SECRET" | "ORDERS_SECRET" => Some(GOOD_SECRET.to_owned()),
        _ => None,
    };
    config::parse(text, "shipped.toml", folder.path(), &env)
}

#[test]
fn every_shipped_file_loads() {
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(errors) = load(&text) {
            panic!("{}:\n{errors}", path.display());
        }
    }
}

#[test]
fn a_loaded_configuration_has_no_conflicts() {
    for path in shipped() {
        let config = load(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(RouteTable::conflicts(&config.routes).is_empty());
        for route in &config.routes {
            if let Target::Upstream { id, .. } = &route.target {
                assert!(config.upstreams.contains_key(id), "{}: {id}", path.display());
            }
        }
    }
}

/// One line for each route: what it matches, who may pass, where to, and its limits.
fn outline(config: &Config) -> String {
    let line = |route: &Arc<Route>| {
        let limits = route.limits.iter().map(|limit| {
            format!(" {}={}x{}/{:?}", limit.id, limit.quota.burst(), limit.quota.interval_micros() / 1000, limit.by)
        });
        let target = match &route.target {
            Target::Upstream { id, rewrite: None } => id.to_string(),
            Target::Upstream { id, rewrite: Some(rewrite) } => format!("{id}{rewrite}"),
            Target::Endpoint(endpoint) => format!("{endpoint:?}"),
        };
        let Route { id, methods, host, path, policy, revokes, .. } = &**route;
        let ends = revokes.as_ref().map(|revokes| format!(", ends {revokes}")).unwrap_or_default();
        format!("{id}: {methods} {host}{path} {policy:?} -> {target}{}{ends}", limits.collect::<String>())
    };
    config.routes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_quickstart_means_what_it_says() {
    let path = shipped().into_iter().find(|path| path.ends_with("quickstart.toml")).unwrap();
    let config = load(&fs::read_to_string(path).unwrap()).unwrap();
    insta::assert_snapshot!(outline(&config), @r#"
    auth.login: POST */auth/login Public -> Login auth.login.address=30x2000/Address auth.login.account=10x6000/Account
    auth.refresh: POST */auth/refresh Public -> Refresh
    auth.logout: POST,DELETE */auth/logout Public -> Logout
    auth.me: GET */auth/me Authenticated -> Me
    auth.end_session: DELETE */auth/sessions/{sid} Authenticated -> EndSession
    auth.sessions: GET */auth/sessions Authenticated -> Sessions
    auth.jwks: GET */.well-known/jwks.json Public -> Jwks
    pages.sign_in_page: GET */auth/sign-in Public -> SignInPage
    pages.sign_in: POST */auth/sign-in Public -> SignIn auth.login.address=30x2000/Address auth.login.account=10x6000/Account
    pages.sessions_page: GET */auth/devices Authenticated -> SessionsPage
    pages.sessions: POST */auth/devices Authenticated -> ChangeSessions
    register: POST */auth/register Public -> backend/users register=10x6000/Address
    password: PUT */auth/password Authenticated -> backend/users/me/password user=20x600/User, ends the caller's other sessions
    account: GET,PUT */users/me Authenticated -> backend user=20x600/User
    account-delete: DELETE */users/me Authenticated -> backend user=20x600/User, ends all sessions of the caller
    name-taken: GET */users/exists/{name} Public -> backend names=20x3000/Address
    posts-read: GET */posts/* Optional -> backend readers=100x100/Address user=20x600/User
    posts-write: POST,PUT,DELETE */posts/* Authenticated -> backend user=20x600/User
    "#);
}

#[test]
fn nobody_gets_to_ask_for_many_names() {
    let mut tellers = 0;
    for path in shipped() {
        let config = load(&fs::read_to_string(&path).unwrap()).unwrap();
        for route in config.routes.iter().filter(|route| matches!(route.id.as_str(), "register" | "name-taken")) {
            let slow = |limit: &Arc<Limit>| limit.by == LimitBy::Address && limit.quota.interval_micros() >= 3_000_000;
            assert!(route.limits.iter().any(slow), "{}: {}", path.display(), route.id);
            tellers += 1;
        }
    }
    assert!(tellers >= 3, "{tellers} routes tell whether a name is taken");
}

#[test]
fn your_own_api_takes_twenty_lines() {
    let path = shipped().into_iter().find(|path| path.ends_with("in-front-of-your-api.toml")).unwrap();
    assert!(fs::read_to_string(path).unwrap().lines().count() <= 20);
}

/// An unknown key makes the reader list the keys that it knows there.
const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";

/// Puts the unknown key into every table, at every depth.
fn spoil(table: &mut Table) {
    for (_, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => spoil(inner),
            Value::Array(list) => list.iter_mut().filter_map(Value::as_table_mut).for_each(spoil),
            _ => {}
        }
    }
    table.insert(UNKNOWN.to_owned(), Value::Boolean(true));
}

/// Sections and the keys that the reader knows in them: `upstreams.*` → `servers`.
fn known_keys(text: &str) -> BTreeSet<(String, String)> {
    let mut table: Table = text.parse().unwrap();
    spoil(&mut table);
    let errors = load(&toml::to_string(&table).unwrap()).unwrap_err();
    let mut known = BTreeSet::new();
    for mistake in errors.mistakes() {
        let config::Place::Key { key, .. } = &mistake.place else { panic!("{errors}") };
        let Some((_, keys)) = mistake.message.split_once("the keys here are ") else { continue };
        let section = key.split('.').next().unwrap().replace(UNKNOWN, "");
        known.extend(keys.split(", ").map(|key| (section.clone(), key.to_owned())));
    }
    known
}

/// Whether `text` has `key` in `section`, as a key or as a table of its own, commented out or not.
fn documents(text: &str, section: &str, key: &str) -> bool {
    // Where a secret comes from is the same everywhere.
    let anywhere = section.is_empty() || matches!(key, "env" | "file");
    let mut current = String::new();
    text.lines().any(|line| {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(header) = line.strip_prefix('[') {
            header.trim_matches(['[', ']']).clone_into(&mut current);
        }
        let here = anywhere || current.split('.').next() == Some(section);
        let header = format!("[{section}.{key}]").replace("[.", "[");
        let opens = line.starts_with(&header[..header.len() - 1])
            || line.starts_with(&format!("[{}", &header[..header.len() - 1]));
        // `[listeners.public.tls]`: a table of one that the user named.
        let ends = line.starts_with('[') && here && current.rsplit('.').next() == Some(key);
        opens || ends || (here && line.split(['{', ',', '#']).any(|part| part.trim().starts_with(&format!("{key} ="))))
    })
}

#[test]
fn every_key_is_documented_by_example() {
    let texts: Vec<String> = shipped()
        .iter()
        .filter(|path| path.ends_with("quickstart.toml") || path.ends_with("production.toml"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let known: BTreeSet<_> = texts.iter().flat_map(|text| known_keys(text)).collect();
    for expected in [("", "trusted_proxies"), ("upstreams", "interval"), ("route", "roles"), ("login", "free")] {
        assert!(known.contains(&(expected.0.to_owned(), expected.1.to_owned())), "{expected:?} in {known:?}");
    }
    let missing: Vec<_> =
        known.iter().filter(|(section, key)| !texts.iter().any(|text| documents(text, section, key))).collect();
    assert!(missing.is_empty(), "not in quickstart.toml or production.toml: {missing:?}");
}

#[test]
fn an_unknown_key_is_refused_wherever_it_is() {
    let text =
        fs::read_to_string(shipped().into_iter().find(|path| path.ends_with("production.toml")).unwrap()).unwrap();
    let mut spoilt: Table = text.parse().unwrap();
    spoil(&mut spoilt);
    let spoilt = toml::to_string(&spoilt).unwrap();
    let shown = load(&spoilt).unwrap_err().to_string();
    assert_eq!(shown.matches(UNKNOWN).count(), spoilt.matches(UNKNOWN).count(), "{shown}");
}
