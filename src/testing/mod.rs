//! What tests are made of: an IDPFlare in memory, scripts, fixtures, and a check for layers (feature
//! `testing`).
//!
//! | to | take |
//! |---|---|
//! | test against what the protocol does | [`FakeIdpflare`] |
//! | say which requests come, and what comes of each | [`ReplayService`], with [`CannedReply`] |
//! | look at what is sent | [`CaptureService`] |
//! | make the value of a reply | [`Fixture`] |
//! | make an [`Error`](crate::Error) | [`ErrorFixture`] |
//! | check a layer of your own | [`assert_layer_contract`] |
//!
//! # The fake
//!
//! [`FakeIdpflare`] performs all operations of the protocol: what a client changes, it finds
//! changed. It checks API keys and their scopes, validates what it is sent, pages as the real one
//! does, and writes an audit log. The same definition is used in two ways:
//!
//! - in process, as a Tower service ([`FakeIdpflare::service`]) below a client of any shape;
//! - on a port of this machine, over real HTTP ([`FakeIdpflare::serve`]).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), idpflare_management::Error> {
//! use idpflare_management::testing::FakeIdpflare;
//! use idpflare_management::{BlockUser, Client, CreateUser, GetUser, Scope};
//!
//! let fake = FakeIdpflare::new();
//! let client = Client::builder("https://idp.example.com")
//!     .api_key(fake.api_key())
//!     .build_with(fake.service())?;
//!
//! let ada = client.send(CreateUser::new("ada@example.com")).await?;
//! client.send(BlockUser::new(&ada.id).reason("Suspicious activity")).await?;
//! assert!(client.send(GetUser::new(&ada.id)).await?.is_locked);
//!
//! // Clones and clients share one state, but each key has its own rights.
//! let reader = fake.client_with_scopes([Scope::UsersRead]);
//! let error = reader.send(BlockUser::new(&ada.id)).await.expect_err("it may only read");
//! assert_eq!(error.required_scope(), Some("users:write"));
//! # Ok(())
//! # }
//! ```
//!
//! A [`FaultScript`] has requests go wrong, in process and over HTTP alike: statuses, delays, resets,
//! broken bodies, replies that are lost. What was done nevertheless is told to
//! [`FakeIdpflare::on_request`].
//!
//! Where the protocol leaves something open, the fake does this:
//!
//! - What is listed comes newest first. A page has 50 rows unless asked otherwise, and between 1
//!   and 100: a limit beyond that is brought to the nearest. Offsets start at 0.
//! - A revoked session or token stays listed as such; revoking it again succeeds and changes
//!   nothing more. An unlinked identity and a removed second factor are gone.
//! - The audit log outlives users: asking it about an unknown one finds nothing, which is no error.
//! - A user has the locale `en` and the role `user` unless told otherwise, and a client is
//!   confidential.
//! - An API key has no scopes unless told otherwise, and does not end by itself.

mod canned_reply;
mod capture;
mod connection;
mod dice;
mod encode_reply;
mod error_fixture;
mod fake;
mod faults;
mod fixture;
mod handlers;
mod http_date;
mod input;
mod layer_contract;
mod quota;
mod replay;
mod request_log;
mod respond;
mod routes;
mod secret;
mod seed;
mod server;
mod service;
mod state;
mod table;

pub use canned_reply::CannedReply;
pub use capture::{CaptureService, CapturedRequest};
pub use encode_reply::EncodeReply;
pub use error_fixture::ErrorFixture;
pub use fake::FakeIdpflare;
pub use faults::{Fault, FaultKind, FaultRule, FaultScript, InvalidFaultScript, RetryAfter};
pub use fixture::Fixture;
pub use layer_contract::{ContractViolation, assert_layer_contract, check_layer_contract};
pub use replay::{ExpectedRequest, ReplayError, ReplayService};
pub use request_log::RequestLogEntry;
pub use server::FakeServer;
pub use service::FakeService;
