//! Guides: how the parts are used together. All code in them is compiled and run as tests.
//!
//! | to | read |
//! |---|---|
//! | put layers around calls and attempts, and in which order | [`composing`] |
//! | test code that uses a client | [`testing`] |
//! | handle errors, and decide what is sent again | [`errors`] |
//! | read lists that are longer than a page | [`paging`] |
//! | do jobs of several operations | [`jobs`] |
#![cfg_attr(
    feature = "redis",
    doc = "| share one quota among processes | [`fleet`] |"
)]
//!
//! This module is in the documentation only: no program has it.

#[doc = include_str!("composing.md")]
pub mod composing {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("paging.md")]
pub mod paging {}

#[doc = include_str!("jobs.md")]
pub mod jobs {}

#[cfg(feature = "redis")]
#[doc = include_str!("fleet.md")]
pub mod fleet {}
