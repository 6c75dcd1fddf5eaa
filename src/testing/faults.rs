//! Faults on demand: what the fake does wrong, and when.

mod apply;
mod body;
mod fault;
mod file;
mod kind;
mod rule;
mod script;
mod unknown;

pub use fault::Fault;
pub use file::InvalidFaultScript;
pub use kind::{FaultKind, RetryAfter};
pub use rule::FaultRule;
pub use script::FaultScript;
pub(super) use script::Playing;
