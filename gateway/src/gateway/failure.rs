//! What an error of the engine means to the caller. Only what the upstream did is told, by kind; causes
//! go to the log with the request's name. A client that went away is told nothing.

use std::io;

use pingora::{Error, ErrorSource, ErrorType};

use super::forward::Awaited;
use crate::inbound::Malformed;
use crate::problem::Denied;

/// What kind of error a step is that panicked.
pub(super) const PANIC: &str = "Panic";

/// The refusal that `error` amounts to; `None` if there is nobody left to tell. Whichever side the engine had no bytes of,
/// it is who was `awaited` that is late.
pub(super) fn denied(error: &Error, awaited: Awaited) -> Option<Denied> {
    let is_late = *error.etype() == ErrorType::ReadTimedout;
    match error.esource() {
        ErrorSource::Downstream | ErrorSource::Upstream if is_late && awaited == Awaited::Either => {
            Some(Denied::TunnelIdle)
        }
        ErrorSource::Downstream if is_late => Some(Denied::BodyTimeout),
        ErrorSource::Upstream if is_late && awaited == Awaited::Client => Some(Denied::BodyTimeout),
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
