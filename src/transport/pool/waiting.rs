use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::lease::Lease;
use super::turns::Turns;

/// A call for which there is no connection.
pub(super) struct Waiting {
    /// One that another call makes or gives back.
    pub(super) arrival: Arrival,
    /// Its turns to make one itself.
    pub(super) turns: Arc<Turns>,
}

/// Comes with a connection, unless the server is forgotten first.
pub(super) struct Arrival(oneshot::Receiver<Lease>);

impl Arrival {
    pub(super) fn new(arrival: oneshot::Receiver<Lease>) -> Self {
        Self(arrival)
    }
}

impl Future for Arrival {
    type Output = Option<Lease>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Lease>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // What has arrived for somebody who is gone is the next one's.
        self.0.close();
        if let Ok(lease) = self.0.try_recv() {
            lease.finish();
        }
    }
}
