//! Points in time: integers on the wire, milliseconds since the Unix epoch.

/// A point in time; what the protocol sends is milliseconds since the Unix epoch, so anything finer
/// is dropped where one is sent.
pub use jiff::Timestamp;

/// For `#[serde(with = "…")]`.
pub(crate) use jiff::fmt::serde::timestamp::millisecond::{optional, required};
