//! What an upstream is told: every header that it might take for one of ours dropped, then ours set.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use divan::Bencher;
use pingora::http::RequestHeader;
use portcullis::identity::{self, Assertion};
use portcullis::ids::{Jti, Partition, PartitionCount, RequestId, Role, SessionId, Subject};
use portcullis::inbound::client::Origin;
use portcullis::policy::{Caller, Grants, Known, Permit, Policy};

use crate::{NOW, config};

/// What a browser sends, and what a program does that sends much.
const FEW: [(&str, &str); 8] = [
    ("host", "api.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("authorization", "Bearer x.y.z"),
    ("cookie", "theme=dark; consent=1"),
    ("x-user-id", "mallory"),
];

fn request(count: usize) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/v1/things/4711", None).unwrap();
    for (name, value) in FEW {
        request.insert_header(name, value).unwrap();
    }
    for number in FEW.len()..count {
        request.insert_header(format!("x-application-{number}"), "some value of usual length").unwrap();
    }
    request
}

fn permit() -> Permit {
    let route =
        "[[route]]\nid = \"r\"\nmatch = { path = \"/*\" }\nupstream = \"backend\"\npolicy = \"authenticated\"\n";
    let route = Arc::clone(config(route).routes.iter().find(|route| route.id.as_str() == "r").unwrap());
    let subject = Subject::parse("4f7c1d0e-2b1a-4d55-9e0c-0f5b7a9c3e11").unwrap();
    let roles = ["editor", "user"].map(|role| Role::parse(role).unwrap()).into();
    let known = Known {
        sid: SessionId::random(Partition::of(&subject, PartitionCount::ONE)),
        subject,
        jti: Jti::random(),
        epoch: 1,
        grants: Grants { roles, scopes: BTreeSet::new() },
        authenticated_at: NOW,
        issued_at: NOW,
        expires_at: NOW,
    };
    Policy::permit(&route, Caller::Known(Arc::new(known))).unwrap()
}

#[divan::bench(args = [FEW.len(), 40])]
fn identity_is_asserted(bencher: Bencher<'_, '_>, count: usize) {
    let (permit, request_id, client) = (permit(), RequestId::random(NOW), IpAddr::from([192, 0, 2, 1]));
    let origin = Origin { client, peer: client, trusted: false, https: true };
    bencher.with_inputs(|| request(count).headers.clone()).bench_refs(|headers| {
        identity::assert(
            headers,
            &Assertion {
                permit: &permit,
                request_id: &request_id,
                origin: &origin,
                authority: "api.example.com",
                pool_headers: &[],
                cookies: None,
                renewed: None,
            },
        )
    });
}
