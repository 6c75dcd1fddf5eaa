use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::Call;

/// The requests of a call that have not come to a transport yet.
#[derive(Debug, Default)]
pub(crate) struct UnsentRequests {
    is_tracked: AtomicBool,
    count: AtomicU32,
}

/// In the extensions of a request that is counted. Its clones are counted, too.
#[derive(Debug)]
pub(crate) struct Tracked(Call);

impl Tracked {
    /// What `request` has of it.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    fn new(call: &Call) -> Self {
        call.unsent().count.fetch_add(1, Ordering::AcqRel);
        Self(call.clone())
    }
}

impl Clone for Tracked {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.unsent().count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Call {
    /// Counts `request`, and each clone of it, from now on until it is dropped or comes to a
    /// [`DeliveryLayer`](crate::DeliveryLayer).
    ///
    /// It is for a client with layers of others. Such a layer may run the service below in a task of
    /// its own. Its request can be sent after the call was given up, and after all that this crate can
    /// see of it was dropped. As long as there is such a request,
    /// [`RetryLayer`](crate::RetryLayer) repeats no request that must act once.
    pub fn track_unsent<B>(&self, request: &mut http::Request<B>) {
        self.unsent().is_tracked.store(true, Ordering::Release);
        request.extensions_mut().insert(Tracked::new(self));
    }

    /// Returns how many requests of this call exist that are tracked and not sent.
    #[must_use]
    pub fn unsent_requests(&self) -> u32 {
        self.unsent().count.load(Ordering::Acquire)
    }

    /// Returns whether `request` is tracked, or no request of this call is. A layer that makes a new
    /// request may have left out the extension.
    #[must_use]
    pub fn is_complete<B>(&self, request: &http::Request<B>) -> bool {
        !self.tracks_unsent() || Tracked::of(request).is_some()
    }

    /// `request` comes to a transport, and is counted as a send from now on.
    pub(crate) fn untrack<B>(&self, request: &mut http::Request<B>) {
        if self.tracks_unsent() {
            request.extensions_mut().remove::<Tracked>();
        }
    }

    fn tracks_unsent(&self) -> bool {
        self.unsent().is_tracked.load(Ordering::Acquire)
    }
}
