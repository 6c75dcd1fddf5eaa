use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// The turns to connect to a server that may speak HTTP/2, where one connection is enough for all.
/// That is known only after the handshake: so one connects, and the others wait for what comes of it.
pub(super) struct Turns {
    /// Closed where there is nothing to wait for.
    permits: Arc<Semaphore>,
    /// When somebody was let on last.
    moved: Mutex<Instant>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(1)),
            moved: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a turn, which ends when what this returns is dropped. `None` where there is no need
    /// for turns. Whenever nobody was let on for as long as `patience`, one more is.
    pub(super) async fn wait(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let mut acquiring = pin!(Arc::clone(&self.permits).acquire_owned());
        loop {
            let left = patience.saturating_sub(self.moved().elapsed());
            match timeout(left, acquiring.as_mut()).await {
                Ok(Ok(permit)) => {
                    *self.moved() = Instant::now();
                    return Some(permit);
                }
                Ok(Err(_)) => return None,
                Err(_) => self.let_one_on(patience),
            }
        }
    }

    /// Each call needs a connection of its own.
    pub(super) fn end(&self) {
        self.permits.close();
    }

    pub(super) fn have_ended(&self) -> bool {
        self.permits.is_closed()
    }

    /// Two go on where one has failed: where each of n fails, the last one learns of it after
    /// log2(n) handshakes, and where one has failed by chance, not all of them connect.
    pub(super) fn add_one(&self) {
        self.permits.add_permits(1);
    }

    /// The server may be one of many behind an address, and dead; the caller whose turn it is may wait
    /// for one of those in the line. All of these come here at the same time.
    fn let_one_on(&self, patience: Duration) {
        let mut moved = self.moved();
        if moved.elapsed() >= patience {
            *moved = Instant::now();
            self.add_one();
        }
    }

    fn moved(&self) -> MutexGuard<'_, Instant> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
