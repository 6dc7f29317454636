//! What an error of the engine means to the caller. Only what the upstream did is told, by kind; causes
//! go to the log with the request's name. A client that went away is told nothing.

use std::io;

use pingora::{Error, ErrorSource, ErrorType};

use crate::inbound::Malformed;
use crate::problem::Denied;

/// What kind of error a step is that panicked.
pub(super) const PANIC: &str = "Panic";

/// The refusal that `error` amounts to; `None` if there is nobody left to tell. Whoever `waits_for_client` to send the
/// rest of a body gets no answer from a server, and it is not the server that is late.
pub(super) fn denied(error: &Error, waits_for_client: bool) -> Option<Denied> {
    match error.esource() {
        ErrorSource::Downstream if *error.etype() == ErrorType::ReadTimedout => Some(Denied::BodyTimeout),
        ErrorSource::Upstream if *error.etype() == ErrorType::ReadTimedout && waits_for_client => {
            Some(Denied::BodyTimeout)
        }
        // Found out only when the request was about to be forwarded: the client is there to be told.
        ErrorSource::Downstream if *error.etype() == ErrorType::InvalidHTTPHeader => {
            Some(Denied::Malformed(Malformed::Headers))
        }
        ErrorSource::Downstream => malformed(error).map(Denied::Malformed),
        ErrorSource::Upstream => Some(upstream(error.etype())),
        ErrorSource::Internal | ErrorSource::Unset => Some(match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::ConnectRefused | ErrorType::ConnectNoRoute => {
                upstream(error.etype())
            }
            ErrorType::Custom(PANIC) => Denied::Internal("a step panicked"),
            _ => Denied::Internal("the engine failed"),
        }),
    }
}

/// What could not be read of a body, if that was the cause.
fn malformed(error: &Error) -> Option<Malformed> {
    error.root_cause().downcast_ref::<io::Error>()?.get_ref()?.downcast_ref().copied()
}

fn upstream(kind: &ErrorType) -> Denied {
    match kind {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::SocketError
        | ErrorType::BindError => Denied::UpstreamUnreachable,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Denied::UpstreamTimeout,
        _ => Denied::UpstreamBroken,
    }
}
