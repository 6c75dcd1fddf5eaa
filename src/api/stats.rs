//! Statistics.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};

use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

/// How many users there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserStats {
    /// All users.
    pub total: u64,
    /// Those that are active.
    pub active: u64,
    /// Those whose address is verified.
    pub verified: u64,
    /// Those with multi-factor authentication.
    pub mfa_enabled: u64,
    /// Those with the role `admin`, where the server counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins: Option<u64>,
}

/// `getUserStats`: how many users there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetUserStats {}

impl GetUserStats {
    /// It has no arguments.
    pub fn new() -> Self {
        Self {}
    }
}

impl ApiRequest for GetUserStats {
    type Response = UserStats;

    const OPERATION: &'static Operation = &Operation::new(
        "getUserStats",
        Method::GET,
        "/stats/users",
        Safety::ReadOnly,
    )
    .with_scope("stats:read");

    fn encode(&self, _: &mut Encoder<'_>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<UserStats, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}
