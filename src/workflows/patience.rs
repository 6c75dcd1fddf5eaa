//! How long a job bears with a server that is busy.

use crate::{ApiRequest, CallOptions, WithOptions};

/// Attempts of one request that are answered with 429: more than a caller waits for by default, since
/// a job would rather take longer than leave a line or a step undone.
const ATTEMPTS_AFTER_429: u32 = 10;

pub(super) fn patient<R: ApiRequest>(request: R) -> WithOptions<R> {
    request.with(CallOptions::new().attempts_after_429(ATTEMPTS_AFTER_429))
}
