//! What the app does again and again beside serving: asking whether the store works, for keys, about streams.
//! It sees to it that no step is the last, whatever becomes of it. What the steps do is not known here.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::panics::{self, Panicked};

/// How soon a step runs again that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Runs `step` until `ended`. One that panics is counted, and the next one runs.
pub(super) async fn repeat<F>(
    ended: CancellationToken,
    metrics: Arc<Metrics>,
    first: Duration,
    mut step: impl FnMut() -> F + Send,
) where
    F: Future<Output = Duration> + Send + 'static,
{
    let mut pause = first;
    while ended.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = panics::caught(async { step().await }).await.unwrap_or_else(|Panicked| {
            metrics.panicked("background");
            AFTER_PANIC
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_panics_is_not_the_last() {
        let (ended, steps) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&steps);
        let metrics = Arc::new(Metrics::new());
        let running = tokio::spawn(repeat(ended.clone(), Arc::clone(&metrics), Duration::ZERO, move || {
            let step = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert_ne!(step, 1, "on purpose");
                Duration::from_secs(1)
            }
        }));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(steps.load(Ordering::Relaxed) >= 9, "{steps:?}");
        assert!(metrics.render().contains(r#"portcullis_panics_total{where="background"} 1"#));
        ended.cancel();
        running.await.unwrap();
    }
}
