use idpflare_management::layers::{BoxError, Rate};
use idpflare_management::{Client, GetUser, ListUsers, User, UserPage};

use super::{API_KEY, Contender};

/// This crate's client with all layers of the standard stack, the rate limit too, which is so high
/// that nothing waits for it.
#[derive(Clone)]
pub(crate) struct Ours(Client);

impl Contender for Ours {
    fn new(origin: &str) -> Result<Self, BoxError> {
        let client = Client::builder(origin)
            .api_key(API_KEY)
            .rate_limit(Rate::MAX)
            .build()?;
        Ok(Self(client))
    }

    async fn get(&self, id: &str) -> Result<User, BoxError> {
        Ok(self.0.send(GetUser::new(id)).await?)
    }

    async fn page(&self, limit: usize) -> Result<UserPage, BoxError> {
        Ok(self.0.send(ListUsers::new().limit(limit as u64)).await?)
    }
}
