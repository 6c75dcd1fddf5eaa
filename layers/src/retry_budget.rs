use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many retries all calls together may make before successes have to earn more.
///
/// A server in trouble answers nothing; if every call was sent three times then, it would get three
/// times its load when it can bear it the least. So a retry takes 5 tokens from a bucket that
/// starts with 500, or 10 where the attempt timed out, and is not made where there are not as many.
/// A success gives back what the retry that led to it took, or 1 where it needed none, up to the
/// capacity. Time gives nothing back.
///
/// Clones share the tokens. Nothing here locks or waits.
///
/// ```
/// use idpflare_layers::RetryBudget;
///
/// let budget = RetryBudget::new(12);
/// assert!(budget.try_spend(RetryBudget::RETRY));
/// assert!(budget.clone().try_spend(RetryBudget::RETRY));
/// assert!(!budget.try_spend(RetryBudget::RETRY)); // 2 are left
///
/// budget.refund(RetryBudget::RETRY);
/// assert_eq!(budget.available(), Some(7));
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// `None` where there is no limit.
    bucket: Option<Arc<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    capacity: u32,
    tokens: AtomicU32,
}

impl RetryBudget {
    /// The cost of a retry.
    pub const RETRY: u32 = 5;
    /// The cost of a retry after a timeout.
    pub const RETRY_AFTER_TIMEOUT: u32 = 10;
    /// What a success gives that needed no retry.
    pub const SUCCESS: u32 = 1;

    /// A full bucket of `capacity` tokens. With fewer than [`RETRY`](Self::RETRY) there are never
    /// any retries.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self {
            bucket: Some(Arc::new(Bucket {
                capacity,
                tokens: AtomicU32::new(capacity),
            })),
        }
    }

    /// A budget that is never spent.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { bucket: None }
    }

    /// The tokens that are left; `None` where there is no limit.
    #[must_use]
    pub fn available(&self) -> Option<u32> {
        let bucket = self.bucket.as_ref()?;
        Some(bucket.tokens.load(Ordering::Relaxed))
    }

    /// Takes `cost` tokens, all of them or none: false where there are not as many.
    #[must_use]
    pub fn try_spend(&self, cost: u32) -> bool {
        let Some(bucket) = &self.bucket else {
            return true;
        };
        let less = |tokens: u32| tokens.checked_sub(cost);
        bucket
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Gives back `tokens`, up to the capacity.
    pub fn refund(&self, tokens: u32) {
        let Some(bucket) = &self.bucket else {
            return;
        };
        // A full bucket, which is the usual one, is left alone: clients on many cores would
        // otherwise pass its cache line around for nothing.
        let more = |held: u32| {
            (held < bucket.capacity).then(|| held.saturating_add(tokens).min(bucket.capacity))
        };
        let _ = bucket
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl Default for RetryBudget {
    /// 500 tokens.
    fn default() -> Self {
        Self::new(500)
    }
}
