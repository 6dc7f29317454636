//! The shape of what is scraped.

use std::sync::Arc;

use super::*;
use crate::routing::Route;
use crate::routing::tests::route;

#[test]
fn every_metric_has_a_help_text_that_is_a_sentence() {
    let metrics = Metrics::new();
    metrics.request_done("posts", 200, "-", Duration::from_millis(3));
    let text = metrics.render();
    for help in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let sentence = help.split_once(' ').unwrap().1;
        assert!(sentence.starts_with(char::is_uppercase) && sentence.ends_with('.'), "{help}");
    }
    assert!(text.contains(r#"portcullis_requests_total{reason="-",route="posts",status="200"} 1"#), "{text}");
}

#[test]
fn what_is_held_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new();
    let held = metrics.in_flight();
    assert!(metrics.render().contains("portcullis_requests_in_flight 1"));
    drop(held);
    assert!(metrics.render().contains("portcullis_requests_in_flight 0"));
}

#[test]
fn servers_of_pools_with_similar_names_are_not_mistaken_for_each_other() {
    let metrics = Metrics::new();
    let (api, api1) = (UpstreamId::parse("api").unwrap(), UpstreamId::parse("api1").unwrap());
    metrics.upstream_server(&api, "12.0.0.1:80".parse().unwrap(), true);
    metrics.upstream_server(&api1, "2.0.0.1:80".parse().unwrap(), false);
    let text = metrics.render();
    for line in [
        r#"portcullis_upstream_server_up{server="http://12.0.0.1:80",upstream="api"} 1"#,
        r#"portcullis_upstream_server_up{server="http://2.0.0.1:80",upstream="api1"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
}

#[test]
fn a_status_is_three_digits() {
    assert_eq!(status_text(429, &mut [0; 3]), "429");
    assert_eq!(status_text(0, &mut [0; 3]), "000");
}

#[test]
fn what_is_found_once_is_counted_like_everything_else() {
    let metrics = Arc::new(Metrics::new());
    let routes = ["a", "b"].map(|id| route(id, "*", "/", &[]));
    let meters = RouteMeters::new(&routes, &metrics);
    for (route, status, reason) in [(0, 200, "-"), (0, 200, "-"), (1, 200, "-"), (0, 418, "-"), (0, 404, "no_such")] {
        meters.done(&routes[route], status, reason, Duration::from_millis(3));
    }
    let elsewhere = Arc::new(Route::clone(&routes[0]));
    meters.done(&elsewhere, 200, "-", Duration::from_millis(3));
    let (first, second) = (&routes[0].id, &routes[1].id);
    let text = metrics.render();
    for (route, status, reason, count) in
        [(first, 200, "-", 3), (second, 200, "-", 1), (first, 418, "-", 1), (first, 404, "no_such", 1)]
    {
        let line =
            format!("portcullis_requests_total{{reason=\"{reason}\",route=\"{route}\",status=\"{status}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is missing from\n{text}");
    }
    assert!(text.contains(&format!("portcullis_request_duration_seconds_count{{route=\"{first}\"}} 5\n")), "{text}");
}
