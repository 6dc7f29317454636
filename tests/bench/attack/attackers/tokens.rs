//! Requests with tokens that are well-formed, of a key that the gateway has, and whose signatures do not hold: each
//! is another, and costs a verification unless something spares it.

use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::bench::wire::{self, Connection};

use super::Target;

/// How many connections are kept busy, and how many of them share an address.
pub(super) const ATTACKERS: u32 = 200;
const AN_ADDRESS: u32 = 5;

pub(super) async fn attack(target: Rc<Target>, number: u32) {
    let random = RandomState::new();
    let mut pace = target.pace(ATTACKERS, 1);
    let mut tokens = (0_u64..).map(|number| forge(&target.token, number, &random));
    loop {
        let Some(stream) = target.connect(number / AN_ADDRESS).await else { continue };
        let mut connection = Connection::of(stream);
        for token in tokens.by_ref() {
            pace.step().await;
            let authorization = format!("Bearer {token}");
            let request = wire::request("GET", "/echo", ("Authorization", &authorization), "");
            let answer = connection.exchange(&request).await;
            target.count(&answer.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string()));
            if answer.is_ok_and(|answer| !answer.is_last()) {
                continue;
            }
            break;
        }
    }
}

/// The token with another signature, of two numbers in range as a real one is (RFC 7518 §3.4).
fn forge(token: &str, number: u64, random: &RandomState) -> String {
    let mut signature: Vec<u8> = (0_u8..8).flat_map(|part| random.hash_one((number, part)).to_be_bytes()).collect();
    for half in signature.chunks_mut(32) {
        half[0] &= 0x7f;
    }
    let message = token.rsplit_once('.').map_or(token, |(message, _)| message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
