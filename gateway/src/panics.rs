//! Panics are faults of ours: here they are kept from taking along more than the one request or the one step that
//! they happened in. Where it happened is logged, once, by [`log_them`]; whoever catches one counts it. What a
//! panic says is never written down, since it may quote what a client sent.

use std::panic::{AssertUnwindSafe, PanicHookInfo, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::spawn_blocking;
use tracing::error;

/// How soon what panicked goes on.
const PAUSE: Duration = Duration::from_secs(1);

/// A panic that was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Does `work`, unless that panics. What it shares with others must be whole all the same: locks here are taken even
/// if poisoned, and counts are given back as they are dropped.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

/// Does what `work` makes to its end, and begins anew whenever that panics, which is told to `count`.
pub async fn again<F: Future>(count: impl Fn(), mut work: impl FnMut() -> F) -> F::Output {
    loop {
        match caught(async { work().await }).await {
            Ok(output) => return output,
            Err(Panicked) => count(),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does what keeps a thread busy for long on one that serves nobody. A panic of it goes on here.
///
/// # Panics
/// If `work` does.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap_or_else(|broken| resume_unwind(broken.into_panic())) // Nobody cancels it.
}

/// Has panics of this process logged, instead of printed with all that they say.
pub fn log_them() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        error!(target: "error", location = location(panic), thread = thread.name(), "a panic: please report it");
    }));
}

fn location(panic: &PanicHookInfo<'_>) -> String {
    panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_after_an_await_is_caught_too() {
        let work = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(caught::<()>(work).await, Err(Panicked));
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(caught(aside(|| panic!("on purpose"))).await, Err::<(), _>(Panicked));
        assert_eq!(aside(|| 7).await, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_anew_and_is_counted() {
        let (panics, tries) = (AtomicU32::new(0), AtomicU32::new(0));
        let work = || async {
            assert!(tries.fetch_add(1, Ordering::Relaxed) >= 2, "on purpose");
            7
        };
        let count = || {
            panics.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(again(count, work).await, 7);
        assert_eq!(panics.into_inner(), 2);
    }
}
