//! Finding the route of a request among few and many.

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use http::Method;
use portcullis::routing::RouteTable;

use crate::config;

const COUNTS: [usize; 3] = [10, 100, 1000];

fn table(count: usize) -> RouteTable {
    let mut text = String::new();
    for number in 0..count {
        let path = match number % 3 {
            0 => format!("/v1/things{number}"),
            1 => format!("/v1/things{number}/{{id}}"),
            _ => format!("/v1/things{number}/*"),
        };
        write!(
            text,
            "[[route]]\nid = \"r{number}\"\nmatch = {{ path = \"{path}\" }}\nupstream = \"backend\"\npolicy = \"public\"\n"
        )
        .unwrap();
    }
    RouteTable::new(config(&text).routes)
}

/// The one that is looked at in the middle.
#[divan::bench(args = COUNTS)]
fn found(bencher: Bencher<'_, '_>, count: usize) {
    let (table, middle) = (table(count), count / 2 / 3 * 3 + 1);
    let path = format!("/v1/things{middle}/4711");
    bencher.bench(|| {
        black_box(table.find(black_box("api.example.com"), black_box(&path), &Method::GET));
    });
}

#[divan::bench(args = COUNTS)]
fn not_found(bencher: Bencher<'_, '_>, count: usize) {
    let table = table(count);
    bencher.bench(|| {
        black_box(table.find(black_box("api.example.com"), black_box("/elsewhere/4711"), &Method::GET));
    });
}
