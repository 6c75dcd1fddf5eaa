//! A typed client for the management API of IDPFlare, built on [Tower](tower).
//!
//! Every operation is a struct that implements [`ApiRequest`]; a [`Client`] turns it into an
//! [`http::Request`], sends it through a stack of layers, and reads the reply.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), idpflare_management::Error> {
//! use idpflare_management::testing::FakeIdpflare;
//! use idpflare_management::{BlockUser, Client, CreateUser, ListUserSessions};
//!
//! let fake = FakeIdpflare::new();
//! let client = Client::builder("https://idp.example.com")
//!     .api_key(fake.api_key())
//!     .build_with(fake.service())?; // `build()` for HTTP connections
//!
//! let ada = client
//!     .send(CreateUser::new("ada@example.com").given_name("Ada"))
//!     .await?;
//! client.send(BlockUser::new(&ada.id).reason("reported")).await?;
//! let sessions = client.send(ListUserSessions::new(&ada.id)).await?;
//! assert!(sessions.iter().all(|session| !session.is_active));
//! # Ok(())
//! # }
//! ```
//!
//! | to | see |
//! |---|---|
//! | make a client | [`Client::builder`], [`Client::from_env`], [`Client::from_service`] |
//! | find an operation | [`OPERATIONS`], and the structs that are named like them |
//! | read a list that is longer than a page | [`Pager`] |
//! | do a job of several operations | [`workflows`] |
//! | send one request in another way | [`CallOptions`] |
//! | handle a failure | [`Error`], [`ErrorKind`], [`Delivery`] |
//! | do a job of several operations, such as an import | [`workflows`] |
//! | test without a server | [`testing`] |
//! | configure connections | [`Transport`] |
//! | build a stack of your own | [`layers`] |
//! | see how all that is used together | [`guide`] |
//!
//! # The standard stack
//!
//! What a client that a builder made sends through, outermost first:
//!
//! | layer | what it does | why it is there |
//! |---|---|---|
//! | [`CallSpanLayer`](layers::CallSpanLayer) | a span for a call | covers waiting, retries and backoff |
//! | [`DeadlineLayer`](layers::DeadlineLayer) | 30 s for a call | bounds everything below |
//! | [`RetryLayer`](layers::RetryLayer) | up to 3 attempts | each pays for all below; what is not safe to repeat is not |
//! | [`RateLimitLayer`](layers::RateLimitLayer) | waits for its turn | shared by all clones; without a rate of yours it heeds the server's `Retry-After` and quota headers |
//! | [`AttemptTimeoutLayer`](layers::AttemptTimeoutLayer) | 10 s for an attempt | waiting for one's turn does not count |
//! | [`AttemptSpanLayer`](layers::AttemptSpanLayer) | a span for an attempt, as OpenTelemetry's conventions have it | outside of the next one, so it never sees the key |
//! | [`ApiKeyLayer`](layers::ApiKeyLayer) | adds the key, for one origin | read anew for each attempt; nothing further out sees it |
//! | [`CollectLayer`](layers::CollectLayer) | reads the body, up to 16 MiB | both limits of time cover the body |
//!
//! Below that the fixed headers (`User-Agent`, `Accept`) are added, and
//! [`DeliveryLayer`](layers::DeliveryLayer) records each send.
//!
//! # Features
//!
//! `hyper` (default) is the [`Transport`]; `testing` is the [testing kit](testing); `metrics` and
//! `opentelemetry` are recorders for [`MetricsLayer`](layers::MetricsLayer); `redis` keeps one rate for
//! a whole fleet. Without default features the crate does no I/O of its own.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod authority;
mod body;
mod builder;
mod client;
mod decode;
mod error;
#[cfg(any(doc, doctest))]
pub mod guide;
mod json;
mod one_line;
mod pager;
mod request;
mod segment;
mod stack;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "hyper")]
mod transport;
pub mod workflows;

pub use api::*;
pub use authority::Authority;
pub use body::ReplyBody;
pub use builder::ClientBuilder;
pub use client::{Client, HttpService};
pub use decode::{DecodeError, decode_json};
pub use error::{Error, ErrorKind};
/// The layers of the standard stack, for stacks of your own.
pub use idpflare_layers as layers;
pub use idpflare_layers::{Call, Delivery, KeyHandle, Operation, Safety};
pub use pager::{Acted, Items, Listing, Page, Pager};
pub use request::{ApiRequest, CallOptions, EncodeError, Encoder, QueryValue, WithOptions};
/// How secrets are wrapped, and the one way to see them.
pub use secrecy::{ExposeSecret, SecretString};
pub use stack::{BoxService, Stack, StackLayer};
#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub use transport::{Certificate, Identity, Transport, TransportBuilder, TransportFuture};

#[cfg(all(doctest, feature = "hyper", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
