//! What is on the heap.

use allocation_counter::{AllocationInfo, measure};

/// What was allocated since it was made, in the times that it looked.
#[derive(Default)]
pub(crate) struct Heap {
    held: i64,
    peak: i64,
}

impl Heap {
    /// Counts what `run` allocates, on this thread. It can't be nested.
    pub(crate) fn during<T>(&mut self, run: impl FnOnce() -> T) -> (T, AllocationInfo) {
        let mut outcome = None;
        let info = measure(|| outcome = Some(run()));
        let most = i64::try_from(info.bytes_max).expect("it fits");
        self.peak = self.peak.max(self.held + most);
        self.held += info.bytes_current;
        (outcome.expect("it has run"), info)
    }

    /// The most bytes that there were at once.
    pub(crate) fn peak(&self) -> i64 {
        self.peak
    }

    /// The bytes that there are now.
    pub(crate) fn held(&self) -> i64 {
        self.held
    }
}
