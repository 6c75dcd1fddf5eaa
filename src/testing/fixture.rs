//! Values to test with.

mod audit_logs;
mod clients;
mod users;

use super::state::later;
use crate::{
    ApiKey, AuditLogEntry, MfaEnrollment, RefreshToken, SocialIdentity, Timestamp, UserSession,
};

/// A value as the server might return it, to test with. The types of replies may get more fields, so
/// they can't be written out; take one of these, and assign what matters.
///
/// It is the same each time, with something in every field that an ordinary value has something in.
/// Ids match: a session's `user_id` is the user's.
///
/// ```
/// use idpflare_management::testing::Fixture;
/// use idpflare_management::{User, UserPage};
///
/// let mut ada = User::fixture();
/// ada.email = "ada@example.com".into();
/// ada.is_locked = true;
///
/// let mut page = UserPage::fixture();
/// page.users = vec![ada, User::fixture()];
/// page.total = 2;
/// ```
pub trait Fixture: Sized {
    /// The value.
    #[must_use]
    fn fixture() -> Self;
}

impl Fixture for () {
    fn fixture() -> Self {}
}

macro_rules! lists {
    ($($type:ty),* $(,)?) => {$(
        /// A list of one.
        impl Fixture for Vec<$type> {
            fn fixture() -> Self {
                vec![<$type>::fixture()]
            }
        }
    )*};
}

lists! {
    UserSession, MfaEnrollment, SocialIdentity, RefreshToken, ApiKey, AuditLogEntry,
}

/// Noon of a day in the past, and so many days.
fn day(days: i64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, 1_748_779_200_000 + days * 86_400_000)
}
