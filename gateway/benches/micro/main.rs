//! What the steps of a request cost by themselves: `cargo bench -p portcullis`, or with `-- NAME` those whose path
//! holds NAME. Whole requests are measured elsewhere, against other gateways. Nothing here is checked: what
//! a step answers is the concern of the tests.

#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

mod headers;
mod limits;
mod revocations;
mod routes;
mod tokens;

use std::path::Path;

use portcullis::clock::Timestamp;
use portcullis::config::{self, Config};

/// When everything happens.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The least configuration, with these routes.
fn config(routes: &str) -> Config {
    let text = format!(
        r#"
[listeners.public]
address = "127.0.0.1:8080"
[store]
url = "embedded:bench.db"
[tokens]
issuer = "https://api.example.com"
audience = "https://api.example.com"
[upstreams.backend]
servers = ["127.0.0.1:9000"]
{routes}"#
    );
    config::parse(&text, "bench.toml", Path::new(""), &|_| None).unwrap()
}

fn main() {
    divan::main();
}
