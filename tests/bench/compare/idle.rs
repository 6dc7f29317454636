//! What a connection costs that was used once and is idle now: how much more the contender keeps in memory with thousands
//! of them than with none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use portcullis_tests::bench::load::{self, Client};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Wrong;
use crate::bench::Bench;
use crate::cells::Cell;
use crate::clients::Program;
use crate::contender::Running;

/// So many are opened at once.
const AT_ONCE: usize = 32;
/// How long memory is given to settle.
const SETTLE: Duration = Duration::from_millis(500);

/// What idle connections cost.
#[derive(Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
    /// Resident, before there were any, and with them.
    pub(crate) memory_kib: [u64; 2],
}

impl Idle {
    /// For one of them.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn bytes_each(&self) -> f64 {
        self.memory_kib[1].saturating_sub(self.memory_kib[0]) as f64 * 1024.0 / self.connections as f64
    }
}

/// Opens them, and looks before and after.
pub(crate) async fn measure(cell: &Cell, bench: &Bench) -> Result<Idle, Wrong> {
    let running = Running::start(&cell.setup, bench).await?;
    let connections = bench.pace.idle_connections;
    let found = async {
        drop(open(&running, cell, bench, AT_ONCE).await?);
        tokio::time::sleep(SETTLE).await;
        let before = running.usage().memory_kib;
        let streams = open(&running, cell, bench, connections).await?;
        tokio::time::sleep(SETTLE).await;
        let after = running.usage().memory_kib;
        drop(streams);
        Ok(Idle { connections, memory_kib: [before, after] })
    };
    let found = found.await;
    running.stop().await?;
    found
}

/// Opens so many connections, asks once on each, and keeps them.
async fn open(running: &Running, cell: &Cell, bench: &Bench, count: usize) -> Result<Vec<TcpStream>, Wrong> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = JoinSet::new();
    for client in Program::all(cell.work, bench.keys())?.into_iter().take(AT_ONCE) {
        tasks.spawn(open_some(running.address, client, Arc::clone(&left)));
    }
    let mut streams = Vec::with_capacity(count);
    while let Some(some) = tasks.join_next().await {
        streams.extend(some.map_err(|why| why.to_string())??);
    }
    Ok(streams)
}

async fn open_some(
    address: std::net::SocketAddr,
    mut client: impl Client,
    left: Arc<AtomicUsize>,
) -> Result<Vec<TcpStream>, Wrong> {
    let mut streams = Vec::new();
    while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut line = None;
        load::exchange(address, &mut line, &mut client).await?;
        let line = line.ok_or("the first answer on a connection said that it closes")?;
        streams.push(line.into_stream());
    }
    Ok(streams)
}
