//! The client's layers beyond the standard ones.

use idpflare_management::layers::{FacadeRecorder, MetricsLayer};
use idpflare_management::{ClientBuilder, Stack};

use super::changes::CountChangesLayer;

/// Has all that the client does counted and timed. The recorder of the process is to be installed
/// before.
pub(crate) fn instrumented(builder: ClientBuilder) -> ClientBuilder {
    let recorder = FacadeRecorder::new();
    builder
        .layer(CountChangesLayer)
        .layer(MetricsLayer::per_call(recorder))
        // Inside of what waits for permits and keys, so that attempts are timed without that.
        .stack(move |stack| {
            let attempts = MetricsLayer::per_attempt(recorder);
            stack.insert_after(Stack::AUTH, "attempt metrics", attempts)
        })
}
