//! The IDPFlare that is managed: one of yours, or a fake.

use std::error::Error;
use std::time::Duration;

use idpflare_management::testing::{FakeIdpflare, FakeServer};
use idpflare_management::{Client, ClientBuilder, ListUsers, UserId};

const USERS: usize = 20;

pub(crate) enum Upstream {
    Instance,
    Fake(FakeIdpflare, FakeServer),
}

impl Upstream {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let set = |name| std::env::var_os(name).is_some();
        if set("IDPFLARE_AUTHORITY") || set("IDPFLARE_API_KEY") {
            return Ok(Self::Instance);
        }
        let fake = FakeIdpflare::new();
        fake.seed(USERS);
        let server = fake.serve().await?;
        Ok(Self::Fake(fake, server))
    }

    pub(crate) fn client(&self) -> Result<ClientBuilder, idpflare_management::Error> {
        match self {
            Self::Instance => ClientBuilder::from_env(),
            Self::Fake(fake, server) => {
                Ok(Client::builder(server.authority()).api_key(fake.api_key()))
            }
        }
    }

    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Instance => "the instance at IDPFLARE_AUTHORITY",
            Self::Fake(..) => "a fake IDPFlare with 20 users",
        }
    }

    /// Somebody to try things with; nobody of an instance that matters.
    pub(crate) async fn sample_user(&self) -> Option<UserId> {
        let Self::Fake(fake, _) = self else {
            return None;
        };
        let page = fake.client().send(ListUsers::new().limit(1)).await.ok()?;
        page.users.into_iter().next().map(|user| user.id)
    }

    pub(crate) async fn stop(self) {
        if let Self::Fake(_, server) = self {
            // Connections that were given up can't hold it up for longer.
            let _ = tokio::time::timeout(Duration::from_secs(5), server.shutdown()).await;
        }
    }
}
