//! `portcullis routes`: the table of routes in the order in which they are tried, the most specific first.
//! What it prints is what the gateway does, since both read the same [`RouteTable`].

use std::fmt::Write as _;

use crate::config::Config;
use crate::ids::{Role, Scope};
use crate::inbound::path::Oddity;
use crate::policy::Policy;
use crate::routing::{Route, RouteTable, Target};

pub(super) fn table(config: &Config) -> String {
    let head = ["ROUTE", "HOST", "PATH", "METHODS", "POLICY", "LIMITS", "ACCEPTS", "TO"].map(str::to_owned);
    let table = RouteTable::new(config.routes.clone());
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(table.iter().map(|route| row(route))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn row(route: &Route) -> [String; 8] {
    let limits: Vec<&str> = route.limits.iter().map(|limit| limit.id.as_str()).collect();
    [
        route.id.to_string(),
        route.host.to_string(),
        route.path.to_string(),
        route.methods.to_string(),
        policy(&route.policy),
        if limits.is_empty() { "-".to_owned() } else { limits.join(",") },
        if route.accept.is_empty() { "-".to_owned() } else { accepted(route) },
        target(&route.target),
    ]
}

/// What a route accepts that is refused elsewhere, as the configuration writes it.
pub(super) fn accepted(route: &Route) -> String {
    route.accept.iter().map(Oddity::to_string).collect::<Vec<_>>().join(",")
}

/// A policy as the configuration writes it.
pub(super) fn policy(policy: &Policy) -> String {
    match policy {
        Policy::Public => "public".to_owned(),
        Policy::Optional => "optional".to_owned(),
        Policy::Authenticated => "authenticated".to_owned(),
        Policy::AnyRole(roles) => format!("roles: {}", roles.iter().map(Role::as_str).collect::<Vec<_>>().join(",")),
        Policy::AllScopes(scopes) => {
            format!("scopes: {}", scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(","))
        }
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Upstream { id, rewrite: None } => id.to_string(),
        Target::Upstream { id, rewrite: Some(rewrite) } => format!("{id}{rewrite}"),
        Target::Endpoint(_) => "this gateway".to_owned(),
    }
}
