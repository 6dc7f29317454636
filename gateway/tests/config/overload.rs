//! `[overload]`: everything is bounded, whether it is said or not.

use portcullis::overload::Capacity;

use crate::{and, mistakes, parse, with};

#[test]
fn everything_is_bounded_by_default() {
    let config = parse(&and("")).unwrap();
    assert_eq!(config.overload.requests, Capacity::new(10_000, 20));
    assert_eq!(config.overload.streams, Capacity::new(10_000, 20));
    assert_eq!(config.overload.bad_tokens.burst(), 100);
    assert!(config.upstreams.values().all(|upstream| upstream.requests == Capacity::new(1000, 20)));
}

#[test]
fn the_reserve_is_that_of_each_upstream_too() {
    let text = with("servers", "servers = [\"127.0.0.1:9000\"]\nrequests = 50") + "\n[overload]\nreserve = \"10%\"\n";
    let config = parse(&text).unwrap();
    assert!(config.upstreams.values().all(|upstream| upstream.requests == Capacity::new(50, 10)));
}

#[test]
fn a_bound_is_one_that_can_be_meant() {
    for (keys, expected) in [
        ("requests = 0", "overload.requests: 0 is out of range"),
        ("streams = \"many\"", "overload.streams: this is a text"),
        ("reserve = \"100%\"", "overload.reserve: write a share from \"0%\" to \"90%\""),
        ("reserve = 20", "overload.reserve: this is a number"),
        ("bad_tokens = { burst = 3 }", "overload.bad_tokens.rate: is missing"),
        ("request = 5", "did you mean \"requests\"?"),
    ] {
        let shown = mistakes(&and(&format!("[overload]\n{keys}\n")));
        assert!(shown.contains(expected), "{keys}: {shown}");
    }
}
