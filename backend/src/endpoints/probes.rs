//! For operators: is it alive, is it ready, what does it count. They need no gateway, and tell nothing about
//! any user.

use serde::Serialize;

use crate::app::App;
use crate::metrics;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// `GET /livez`: the process answers.
pub(crate) fn live() -> Reply {
    reply::ok(&Status { status: "live" })
}

/// `GET /readyz`: the database answers too; if not, the refusal says why.
pub(crate) async fn ready(app: &App) -> Result<Reply, Refusal> {
    app.store.ping().await.map_err(Refusal::NotReady)?;
    Ok(reply::ok(&Status { status: "ready" }))
}

/// `GET /metrics`: in Prometheus' text format.
pub(crate) fn metrics(app: &App) -> Reply {
    reply::text(metrics::CONTENT_TYPE, app.metrics.render())
}
