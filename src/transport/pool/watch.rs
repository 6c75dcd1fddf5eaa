use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;
use tokio::time::{sleep, sleep_until};

use super::line::CLAIM;
use super::server::Server;

/// A task that looks after a server's connections. Dropped, it ends.
pub(super) struct Watch(AbortHandle);

impl Watch {
    /// Closes connections that no call uses, until there are none.
    pub(super) fn over_unused(server: &Arc<Server>) -> Self {
        Self::start(server, close_unused(Arc::downgrade(server)))
    }

    /// Passes on the claims of calls that are not polled, until no call waits.
    pub(super) fn over_waiting(server: &Arc<Server>) -> Self {
        Self::start(server, pass_claims_on(Arc::downgrade(server)))
    }

    fn start(server: &Server, task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(server.runtime.spawn(task).abort_handle())
    }

    /// Its runtime may have ended before the server does.
    pub(super) fn is_at_work(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn close_unused(server: Weak<Server>) {
    while let Some(next) = server.upgrade().and_then(|server| server.close_expired()) {
        sleep_until(next).await;
    }
}

async fn pass_claims_on(server: Weak<Server>) {
    loop {
        sleep(CLAIM).await;
        if !server.upgrade().is_some_and(|server| server.tick()) {
            return;
        }
    }
}
