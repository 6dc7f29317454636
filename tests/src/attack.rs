//! Attacks as rows of tables: what is sent byte for byte, where it is known from, and how it must be refused.
//! One row is one connection to a real gateway with a recording upstream behind it. The tables themselves
//! are in `tests/attacks`.

use crate::{Stack, raw};

/// What is sent on one connection, and the refusal that must come back.
#[derive(Clone, Debug)]
pub struct Attack {
    /// What it tries, in a few words.
    pub name: &'static str,
    /// A CVE, or the RFC and section that forbids it.
    pub source: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// `400 bad_request`: the status and the reason of the refusal.
    pub refusal: &'static str,
}

impl Attack {
    /// A row of a table.
    pub fn new(name: &'static str, source: &'static str, bytes: impl Into<Vec<u8>>, refusal: &'static str) -> Self {
        Self { name, source, bytes: bytes.into(), refusal }
    }

    /// Carries it out: what is wrong with how it was met, if anything is. It must be answered once, with its refusal,
    /// the connection closed, and nothing forwarded.
    pub async fn flaw(&self, stack: &Stack) -> Option<String> {
        let before = stack.recorder.seen().len();
        let answer = raw(stack.address(), &self.bytes).await;
        let (status, reason) = self.refusal.split_once(' ').unwrap_or((self.refusal, ""));
        let refused = answer.starts_with(&format!("HTTP/1.1 {status} "))
            && answer.contains(&format!("\"urn:portcullis:problem:{reason}\""));
        let answers = answer.matches("HTTP/1.1 ").count();
        let forwarded = stack.recorder.seen().split_off(before);
        let flaw = match (refused, answers, forwarded.first()) {
            (_, _, Some(request)) => format!("it was forwarded:\n{}", request.head),
            (false, _, None) => format!("it was answered:\n{answer}"),
            (true, 1, None) => return None,
            (true, _, None) => format!("it was answered {answers} times:\n{answer}"),
        };
        Some(format!("{} ({}): {flaw}", self.name, self.source))
    }
}

/// Carries out all of them, one after another.
///
/// # Panics
/// If one was not met as its row says; all of those are named.
pub async fn assert_refused(stack: &Stack, attacks: &[Attack]) {
    let mut flaws = Vec::new();
    for attack in attacks {
        flaws.extend(attack.flaw(stack).await);
    }
    assert!(flaws.is_empty(), "{} of {} attacks:\n{}", flaws.len(), attacks.len(), flaws.join("\n\n"));
}
