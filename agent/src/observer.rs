//! The thread beside the relay: the worker that reads calls and the export that ships them, on a runtime of their own, so that
//! parsing never takes a turn from forwarding. A panic is caught, counted, and the work goes on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ledgerline_proto::Call;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::export::{Sender, Spool};
use crate::limits::{
    EXPORT_BACKOFF_MIN, OBSERVER_BATCH_MAX, OBSERVER_PAUSE, OBSERVER_STOP_TIMEOUT, WorkerLimits,
};
use crate::metrics::Metrics;
use crate::relay::tap::Observations;
use crate::worker::Worker;

pub struct ObserverParts {
    pub observations: Observations,
    pub spool: Arc<Spool>,
    pub sender: Sender,
    pub flush_timeout: Duration,
    pub metrics: Arc<Metrics>,
}

pub struct Observer {
    thread: std::thread::JoinHandle<()>,
    done: oneshot::Receiver<()>,
    /// The relay has stopped: read what is there, flush, end.
    stop: CancellationToken,
    deadline: Duration,
}

impl Observer {
    pub fn start(parts: ObserverParts) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("ledgerline-lookup")
            .build()?;
        let stop = CancellationToken::new();
        let deadline = OBSERVER_STOP_TIMEOUT + parts.flush_timeout + Duration::from_secs(1);
        let (finished, done) = oneshot::channel();
        let stopping = stop.clone();
        let thread = std::thread::Builder::new().name("ledgerline-observer".to_owned()).spawn(move || {
            runtime.block_on(parts.run(stopping));
            // Nobody waits any more when this fails.
            let _ignored = finished.send(());
        })?;
        Ok(Self { thread, done, stop, deadline })
    }

    /// Reads what the relay left, flushes the spool, and ends the thread; within a deadline.
    pub async fn stop(self) {
        self.stop.cancel();
        match tokio::time::timeout(self.deadline, self.done).await {
            // The thread has nothing left to do, so joining takes no time.
            Ok(_) if self.thread.join().is_ok() => {}
            Ok(_) => tracing::error!("the observer thread panicked; calls may not be recorded"),
            Err(_) => tracing::error!("the observer did not end in time; calls may not be recorded"),
        }
    }
}

impl ObserverParts {
    async fn run(mut self, stop: CancellationToken) {
        let give_up = CancellationToken::new();
        let export =
            tokio::spawn(supervise_export(self.sender.clone(), give_up.clone(), self.metrics.clone()));
        let last_call = async {
            stop.cancelled().await;
            tokio::time::sleep(OBSERVER_STOP_TIMEOUT).await;
        };
        let new_worker = || {
            let spool = self.spool.clone();
            let sink = move |call| spool.push(call);
            Worker::new(WorkerLimits::default(), self.metrics.clone(), sink)
        };
        tokio::select! {
            () = read(&mut self.observations, &self.metrics, new_worker) => {}
            () = last_call => tracing::warn!("not everything that was observed could be read before the end"),
        }
        self.spool.close();
        tokio::pin!(export);
        if tokio::time::timeout(self.flush_timeout, &mut export).await.is_err() {
            give_up.cancel();
            // A supervised task does not fail.
            let _joined = export.await;
        }
    }
}

/// Reads until the relay is gone. A fault that the worker does not contain costs the calls under way.
async fn read<S: FnMut(Call)>(
    observations: &mut Observations,
    metrics: &Metrics,
    new_worker: impl Fn() -> Worker<S>,
) {
    loop {
        let mut worker = new_worker();
        let reading = async {
            while let Some(tagged) = observations.next().await {
                worker.observe(tagged);
                let mut left = OBSERVER_BATCH_MAX;
                while left > 0
                    && let Some(tagged) = observations.try_next()
                {
                    worker.observe(tagged);
                    left -= 1;
                }
                if left == 0 {
                    // More waits, but the export shares this thread.
                    tokio::task::yield_now().await;
                } else {
                    // A thread that is woken for every event spends more on waking than on reading.
                    tokio::time::sleep(OBSERVER_PAUSE).await;
                }
            }
            worker.finish();
        };
        if AssertUnwindSafe(reading).catch_unwind().await.is_ok() {
            return;
        }
        metrics.restarts.inc();
        tracing::error!("the worker was restarted; the calls under way are not recorded");
    }
}

async fn supervise_export(sender: Sender, give_up: CancellationToken, metrics: Arc<Metrics>) {
    while tokio::spawn(sender.clone().run(give_up.clone())).await.is_err() {
        metrics.restarts.inc();
        tracing::error!("the export was restarted");
        tokio::time::sleep(EXPORT_BACKOFF_MIN).await;
    }
}

#[cfg(test)]
mod tests;
