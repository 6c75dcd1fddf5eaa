use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;

use super::faults::Playing;
use super::quota::Quota;
use super::routes::{self, Core};
use super::state::Store;
use super::{FakeServer, FakeService, FaultScript, RequestLogEntry, seed};
use crate::{Client, Scope, UserId};

/// Any would do: nothing is sent there.
const AUTHORITY: &str = "https://idpflare.test";
/// Who owns the keys that the fake hands out by itself.
const OPERATOR: &str = "usr_operator";

/// An IDPFlare in memory. See the [module](super) for what it does.
///
/// Clones share one state, which goes away with the last of them, its services, clients and
/// servers.
#[derive(Clone)]
pub struct FakeIdpflare {
    core: Arc<Core>,
    router: Router,
    root_key: Arc<str>,
}

impl FakeIdpflare {
    /// An instance with no users and no clients, and with one API key, which has all scopes.
    #[must_use]
    pub fn new() -> Self {
        let mut store = Store::new();
        let (_, root_key) =
            store.insert_key("Root key", Scope::KNOWN.to_vec(), UserId::from(OPERATOR));
        let core = Arc::new(Core::new(store));
        Self {
            router: routes::router(&core),
            core,
            root_key: root_key.into(),
        }
    }

    /// The API key that has all scopes. It starts with `idk_`, and differs from one instance to
    /// the next.
    #[must_use]
    pub fn api_key(&self) -> String {
        String::from(&*self.root_key)
    }

    /// A new API key that has just these scopes.
    #[must_use]
    pub fn api_key_with_scopes(&self, scopes: impl IntoIterator<Item = Scope>) -> String {
        let scopes: Vec<_> = scopes.into_iter().collect();
        let (_, raw_key) =
            self.core
                .store()
                .insert_key("Scoped key", scopes, UserId::from(OPERATOR));
        raw_key
    }

    /// Adds `n` users for a demonstration, with sessions, second factors, identities, tokens and
    /// audit log entries, all of the past two years; and, where there are no OAuth clients yet,
    /// some of these.
    ///
    /// Most users are ordinary. From 20 on there are some of every sort: administrators, support
    /// staff, inactive, locked and unverified ones. Instances that are treated alike are given the
    /// same data, apart from the time; seeding twice adds other users.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use idpflare_management::GetUserStats;
    /// use idpflare_management::testing::FakeIdpflare;
    ///
    /// let fake = FakeIdpflare::new();
    /// fake.seed(20);
    /// assert_eq!(fake.client().send(GetUserStats::new()).await?.total, 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn seed(&self, n: usize) {
        seed::fill(&mut self.core.store(), n);
    }

    /// Allows each API key `limit` requests in each `window`, which begins with a request. One more
    /// is answered with 429 and `Retry-After`; every reply has the headers `RateLimit` and
    /// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10). What was counted before is
    /// forgotten. Time is tokio's, so it can be paused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use std::time::Duration;
    ///
    /// use idpflare_management::GetUserStats;
    /// use idpflare_management::testing::FakeIdpflare;
    /// use tokio::time::Instant;
    ///
    /// let fake = FakeIdpflare::new();
    /// fake.set_quota(1, Duration::from_secs(10));
    /// let client = fake.client();
    /// let started = Instant::now();
    /// client.send(GetUserStats::new()).await?;
    /// // The first reply says that nothing remains, so the client waits until there is more.
    /// client.send(GetUserStats::new()).await?;
    /// assert_eq!(started.elapsed().as_secs(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quota(&self, limit: u32, window: Duration) {
        let quota = &self.core.quota;
        *quota.lock().unwrap_or_else(PoisonError::into_inner) = Some(Quota::new(limit, window));
    }

    /// Has requests go wrong from now on, as `script` says, in place of any script before it. Those
    /// that are no operation are left alone.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use std::sync::{Arc, Mutex};
    ///
    /// use idpflare_management::testing::{FakeIdpflare, Fault, FaultKind, FaultRule, FaultScript};
    /// use idpflare_management::{CreateUser, Delivery};
    ///
    /// let fake = FakeIdpflare::new();
    /// let ledger = Arc::new(Mutex::new(Vec::new()));
    /// fake.on_request({
    ///     let ledger = Arc::clone(&ledger);
    ///     move |entry| ledger.lock().unwrap().push((entry.fault, entry.performed))
    /// });
    ///
    /// fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::reply_lost())));
    /// let error = fake.client().send(CreateUser::new("ada@example.com")).await.expect_err("a reset");
    /// assert_eq!(error.delivery(), Delivery::Unknown);
    /// assert_eq!(*ledger.lock().unwrap(), [(Some(FaultKind::ReplyLost), true)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_faults(&self, script: FaultScript) {
        self.core.set_faults(Some(Playing::new(script)));
    }

    /// Has nothing go wrong any more.
    pub fn clear_faults(&self) {
        self.core.set_faults(None);
    }

    /// Has `observer` told of every request from now on, once: when its answer is known and before
    /// it is sent, or when the client has gone away before that. Observers are called one after the other, in the order that they were added in, on the
    /// task that performs the request.
    pub fn on_request(&self, observer: impl Fn(&RequestLogEntry) + Send + Sync + 'static) {
        self.core.observers.add(Arc::new(observer));
    }

    /// It as a Tower service, to build clients with.
    #[must_use]
    pub fn service(&self) -> FakeService {
        FakeService::new(self.router.clone())
    }

    /// A client with the standard stack, in process, with the key that has all scopes.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with_key(self.api_key())
    }

    /// A client with the standard stack, in process, with a new key that has just these scopes.
    #[must_use]
    pub fn client_with_scopes(&self, scopes: impl IntoIterator<Item = Scope>) -> Client {
        self.client_with_key(self.api_key_with_scopes(scopes))
    }

    #[expect(
        clippy::expect_used,
        reason = "the authority is a constant, and keys made here are fit for a header"
    )]
    fn client_with_key(&self, key: String) -> Client {
        Client::builder(AUTHORITY)
            .api_key(key)
            .build_with(self.service())
            .expect("the settings are valid")
    }

    /// Starts to listen on a free port of this machine (127.0.0.1), on the current tokio runtime.
    ///
    #[cfg_attr(feature = "hyper", doc = "```")]
    #[cfg_attr(not(feature = "hyper"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use idpflare_management::testing::FakeIdpflare;
    /// use idpflare_management::{Client, GetUserStats};
    ///
    /// let fake = FakeIdpflare::new();
    /// let server = fake.serve().await?;
    ///
    /// let client = Client::builder(server.authority()).api_key(fake.api_key()).build()?;
    /// assert_eq!(client.send(GetUserStats::new()).await?.total, 0);
    ///
    /// server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is no free port.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has its I/O enabled.
    pub async fn serve(&self) -> io::Result<FakeServer> {
        self.serve_on(0).await
    }

    /// Like [`serve`](Self::serve), on a port that you choose; 0 stands for any free one.
    ///
    /// # Errors
    ///
    /// Where the port is not free, or may not be used.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has its I/O enabled.
    pub async fn serve_on(&self, port: u16) -> io::Result<FakeServer> {
        FakeServer::start(self.router.clone(), port).await
    }
}

impl Default for FakeIdpflare {
    /// The same as [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FakeIdpflare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeIdpflare").finish_non_exhaustive()
    }
}
