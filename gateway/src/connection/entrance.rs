//! The way that a request came in: what carries its answer, and how its listener speaks. The engine
//! hands it along with the connection, for HTTP/1.1 and HTTP/2 alike. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;

use crate::config::{BodyPace, Transport};
use crate::connection::upload::Upload;
use crate::streams::carrier::Carrier;

/// The way that a request came in.
#[derive(Debug)]
pub struct Entrance {
    /// Ends what is answered.
    pub carrier: Arc<Carrier>,
    /// How the client speaks to us.
    pub transport: Transport,
    /// How fast a body has to come.
    pub pace: BodyPace,
    /// The body that comes in, over HTTP/2.
    pub upload: Upload,
    completed: AtomicBool,
}

impl Entrance {
    /// An entrance that nobody has gone through yet.
    pub fn new(transport: &Transport, pace: BodyPace) -> Self {
        let transport = transport.clone();
        let upload = Upload::default();
        Self { carrier: Arc::default(), transport, pace, upload, completed: AtomicBool::new(false) }
    }

    /// The entrance of `session`.
    pub fn of(session: &Session) -> Option<&Arc<Self>> {
        session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// Notes that a request was answered to its end.
    pub fn complete(&self) {
        self.completed.store(true, Ordering::Relaxed);
    }

    /// Whether a request was answered to its end.
    pub fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Relaxed)
    }

    /// This entrance in what the engine hands along: it has a place for data of ours where it keeps what a
    /// proxy before an upstream said, which no client's connection has.
    pub fn digest(self: &Arc<Self>) -> Result<Arc<ProxyDigest>> {
        let unused = ResponseHeader::build_no_case(StatusCode::OK, Some(0))?;
        Ok(Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(Arc::clone(self))))))
    }
}
