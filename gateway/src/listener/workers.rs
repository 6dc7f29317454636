//! Who serves connections: threads with a runtime each, and with connections to servers of their own, so that nothing
//! of a request moves from core to core. A connection stays where it was handed to. It relies on whoever accepts
//! connections to hand them out, and knows nothing of what is done with them. A worker that is alone needs no thread: it
//! serves where all else runs, so that nothing is handed over at all.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pingora::proxy::HttpProxy;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::telemetry::AccessLog;

/// How long the workers may take to let go of what they still serve.
const LETTING_GO: Duration = Duration::from_secs(1);

/// What all of them share.
pub(super) struct Shared {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Writes down what is refused before the engine sees it.
    pub access: AccessLog,
    /// Ends idle connections.
    pub stop: CancellationToken,
    /// What the engine looks at before it keeps a connection.
    pub ending: watch::Sender<bool>,
}

/// A thread that serves connections.
pub(super) struct Worker {
    /// The engine, with connections to servers that only this worker uses.
    pub proxy: Arc<HttpProxy<Gateway>>,
    pub metrics: Arc<Metrics>,
    pub access: AccessLog,
    /// Ends idle connections.
    pub stop: CancellationToken,
    pub ending: watch::Sender<bool>,
    runtime: Handle,
    connections: AtomicUsize,
}

/// All workers.
pub(super) struct Workers {
    all: Box<[Arc<Worker>]>,
    threads: TaskTracker,
}

impl Workers {
    /// Starts so many, each with an engine that `proxy` makes. They stop, whatever they are at, when `end` says so.
    pub(super) fn start(
        count: NonZeroUsize,
        shared: &Shared,
        end: &CancellationToken,
        proxy: impl Fn() -> HttpProxy<Gateway>,
    ) -> io::Result<Self> {
        let threads = TaskTracker::new();
        let spawn = |number| spawn(number, end.clone(), threads.token());
        let runtime = |number| if count.get() == 1 { Ok(Handle::current()) } else { spawn(number) };
        let worker = |number| Ok(Arc::new(Worker::new(runtime(number)?, shared, proxy())));
        let all = (0..count.get()).map(worker).collect::<io::Result<_>>()?;
        threads.close();
        Ok(Self { all, threads })
    }

    /// The one that has the fewest connections.
    pub(super) fn idlest(&self) -> &Arc<Worker> {
        let connections = |worker: &&Arc<Worker>| worker.connections.load(Ordering::Relaxed);
        self.all.iter().min_by_key(connections).expect("there is at least one")
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// Returns when all threads have let go of what they served, so that nothing more is told of it; a moment after
    /// they were told to end, or a second if one is stuck.
    pub(super) async fn ended(&self) {
        let _ = timeout(LETTING_GO, self.threads.wait()).await; // Nobody waits for one that is stuck.
    }
}

impl Worker {
    fn new(runtime: Handle, shared: &Shared, proxy: HttpProxy<Gateway>) -> Self {
        Self {
            proxy: Arc::new(proxy),
            metrics: Arc::clone(&shared.metrics),
            access: shared.access.clone(),
            stop: shared.stop.child_token(), // One of its own, so that waiting for it contends with nobody.
            ending: shared.ending.clone(),
            runtime,
            connections: AtomicUsize::new(0),
        }
    }

    /// Has a connection served here, as one of `connections`, to its end.
    pub(super) fn take<F>(self: &Arc<Self>, connections: &TaskTracker, serving: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(self));
        let serving = serving(Arc::clone(self));
        let task = async move {
            let _counted = counted;
            serving.await;
        };
        connections.spawn_on(task, &self.runtime);
    }
}

/// A runtime on a thread of its own, which holds `running` for as long as anything runs there.
fn spawn(number: usize, end: CancellationToken, running: TaskTrackerToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(end.cancelled());
        runtime.shutdown_background(); // Whatever is still running was given its time.
        drop(running);
    })?;
    Ok(handle)
}

/// One connection of a worker.
struct Counted(Arc<Worker>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
