//! Threads that take turns at a bounded queue of jobs, each with a tool of its own. Knows nothing of what the
//! jobs do, but that all else goes first. Threads end when the pool is dropped and the queue is empty.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::nice;
use tokio::sync::oneshot;

use super::{HashingError, PoolSize};
use crate::metrics::Metrics;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Worker threads, each holding a `T`.
pub(super) struct Pool<T> {
    queue: SyncSender<Job<T>>,
    metrics: Arc<Metrics>,
}

impl<T: 'static> Pool<T> {
    /// Starts the threads; `tool` makes what each of them works with.
    pub(super) fn start(
        name: &str,
        size: PoolSize,
        metrics: &Arc<Metrics>,
        tool: fn(&Metrics) -> T,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(size.queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..size.threads {
            let (jobs, metrics) = (Arc::clone(&jobs), Arc::clone(metrics));
            let work = move || {
                give_way();
                take_turns(&jobs, &metrics, tool(&metrics));
            };
            thread::Builder::new().name(format!("{name}-{number}")).spawn(work)?;
        }
        Ok(Self { queue, metrics: Arc::clone(metrics) })
    }

    /// Has a worker do `work`, unless as many jobs wait as may wait.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, HashingError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<T> = Box::new(move |tool| {
            // Whoever asked may have hung up while the job was waiting.
            if !answer.is_closed() {
                drop(answer.send(work(tool)));
            }
        });
        self.metrics.password_queue.inc();
        if self.queue.try_send(job).is_err() {
            self.metrics.password_queue.dec();
            self.metrics.password_queue_full.inc();
            return Err(HashingError::Busy);
        }
        answered.await.map_err(|_| HashingError::Failed)
    }
}

/// How much nicer a worker is than the rest: on a busy processor it gets a tenth of what others get.
const NICER: i32 = 10;

/// Lets the rest of this service, and of its group in the scheduler, go first: an answer that takes a moment is not to wait
/// for a hash that takes many.
fn give_way() {
    // Linux counts it by thread; elsewhere it would slow down the whole process.
    if cfg!(target_os = "linux")
        && let Err(why) = nice(NICER)
    {
        tracing::warn!(target: "error", %why, "password hashing can't give way to requests: let it call setpriority");
    }
}

/// The life of a worker: until the pool is gone.
fn take_turns<T>(jobs: &Mutex<Receiver<Job<T>>>, metrics: &Metrics, mut tool: T) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        metrics.password_queue.dec();
        // A job that panics answers nobody, and must not take the thread along.
        if catch_unwind(AssertUnwindSafe(|| job(&mut tool))).is_err() {
            tracing::error!(target: "error", "a password job panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn pool(queue: usize) -> Pool<u32> {
        let metrics = Arc::new(Metrics::new());
        Pool::start("test", PoolSize { threads: 1, queue }, &metrics, |_| 7).expect("a thread can be started")
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let pool = Arc::new(pool(1));
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let spawn = |work: Box<dyn FnOnce(&mut u32) -> u32 + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(work).await })
        };
        let working = spawn(Box::new(move |_| {
            started.send(()).expect("the test waits for this");
            released.recv().map_or(1, |()| 2)
        }));
        tokio::task::spawn_blocking(move || has_started.recv()).await.expect("it ran").expect("work began");
        let waiting = spawn(Box::new(|tool| *tool));
        while pool.metrics.password_queue.get() < 1 {
            tokio::task::yield_now().await;
        }

        assert_eq!(pool.run(|_| ()).await, Err(HashingError::Busy));
        assert_eq!(pool.metrics.password_queue_full.get(), 1);

        release.send(()).expect("the worker waits for this");
        assert_eq!(working.await.expect("it ran"), Ok(2));
        assert_eq!(waiting.await.expect("it ran"), Ok(7));
        assert_eq!(pool.metrics.password_queue.get(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_gives_way_to_everything_else() {
        let niceness = || rustix::process::getpriority_process(None).expect("it can be read");
        let (ours, theirs) = (niceness(), pool(1).run(move |_| niceness()).await.expect("it ran"));
        assert_eq!(theirs, (ours + NICER).min(19));
    }

    #[tokio::test]
    async fn a_panicking_job_fails_alone() {
        let pool = pool(1);
        assert_eq!(pool.run(|_| -> u32 { panic!("on purpose") }).await, Err(HashingError::Failed));
        assert_eq!(pool.run(|tool| *tool).await, Ok(7));
    }
}
