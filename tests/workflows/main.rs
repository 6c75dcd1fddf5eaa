//! Jobs of several operations, with each step failing in each way: the report says what the server
//! did, a second run completes it, a dry run changes nothing, and no secret is in any of it.

mod clocks;
mod endless;
mod leaver;
mod lifetimes;
mod offboard;
mod offboard_steps;
mod preflight;
mod program;
mod revocations;
mod rotate_api_key;
mod rotate_client_secret;
mod rotated_keys;
mod support;
mod ways;
