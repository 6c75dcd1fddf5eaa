use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use super::server::Server;

/// A task that closes a server's connections which nobody uses, until there are none. Dropped, it
/// ends.
pub(super) struct Reaper(AbortHandle);

impl Reaper {
    /// `None` outside of a runtime.
    pub(super) fn start(server: &Arc<Server>) -> Option<Self> {
        let server = Arc::downgrade(server);
        let task = Handle::try_current().ok()?.spawn(reap(server));
        Some(Self(task.abort_handle()))
    }

    /// Its runtime may have ended before the server does.
    pub(super) fn is_at_work(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn reap(server: Weak<Server>) {
    while let Some(next) = server.upgrade().and_then(|server| server.close_expired()) {
        sleep_until(next).await;
    }
}
