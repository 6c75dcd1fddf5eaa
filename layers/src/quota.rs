//! Quotas that several processes share.

mod away;
mod backend;
mod clock;
mod demand;
mod errand;
mod error;
mod held;
mod local;
#[cfg(feature = "redis")]
mod redis;
mod shared;
mod source;

#[cfg(feature = "redis")]
pub use self::redis::{QuotaKey, RedisQuota};
pub use backend::{Lease, LeaseRequest, QuotaBackend, QuotaNotice};
pub(crate) use errand::{give_back_later, run};
pub use error::{QuotaError, QuotaFailure};
pub use local::LocalQuota;
pub use shared::{InvalidQuota, SharedQuota, WhenAway};
pub(crate) use source::SharedSource;
