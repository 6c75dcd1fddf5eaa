//! The audit log.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::open_enum::open_enum;
use super::setters::setters;
use super::{AuditLogId, OAuthClientId, Timestamp, UserId, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

open_enum! {
    /// How what was logged ended.
    pub enum AuditStatus {
        /// `success`.
        Success = "success",
        /// `failure`.
        Failure = "failure",
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditLogEntry {
    /// Identifies the entry.
    pub id: AuditLogId,
    /// The user that it was about.
    pub user_id: Option<UserId>,
    /// The client that it was about.
    pub client_id: Option<OAuthClientId>,
    /// What happened, such as `login_success`.
    pub event_type: String,
    /// How it ended.
    pub status: AuditStatus,
    /// The address that it came from.
    pub ip_address: Option<String>,
    /// What the browser or app called itself.
    pub user_agent: Option<String>,
    /// The country that the address is in, as an ISO 3166-1 alpha-2 code.
    pub country: Option<String>,
    /// The city that the address is in.
    pub city: Option<String>,
    /// What else is known.
    pub details: Option<Map<String, Value>>,
    /// When it happened.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
}

/// One page of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditLogPage {
    /// The entries, newest first.
    pub entries: Vec<AuditLogEntry>,
    /// How many there are on all pages.
    pub total: u64,
    /// The page size that the server went by, which can be less than was asked for.
    pub limit: u64,
    /// How many entries are before this page.
    pub offset: u64,
}

/// One page of the entries about one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserAuditLogPage {
    /// The entries, newest first.
    pub entries: Vec<AuditLogEntry>,
    /// How many there are on all pages.
    pub total: u64,
}

/// The envelope of [`GetUserSecurityEvents`]' reply.
#[derive(Deserialize)]
struct Entries {
    entries: Vec<AuditLogEntry>,
}

/// `queryAuditLogs`: one page of the entries that fit all filters, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct QueryAuditLogs {
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// See [`offset`](Self::offset()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// See [`user_id`](Self::user_id()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// See [`client_id`](Self::client_id()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<OAuthClientId>,
    /// See [`event_type`](Self::event_type()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// See [`status`](Self::status()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AuditStatus>,
    /// See [`start_date`](Self::start_date()).
    #[serde(skip_serializing_if = "Option::is_none", with = "timestamp::optional")]
    pub start_date: Option<Timestamp>,
    /// See [`end_date`](Self::end_date()).
    #[serde(skip_serializing_if = "Option::is_none", with = "timestamp::optional")]
    pub end_date: Option<Timestamp>,
}

impl QueryAuditLogs {
    /// The first page of the whole log.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// At most this many entries; the server's default is 50, its maximum 100.
        limit: Option<u64>,
        /// Skips this many entries.
        offset: Option<u64>,
        /// Only entries about this user.
        user_id: Option<UserId>,
        /// Only entries about this client.
        client_id: Option<OAuthClientId>,
        /// Only entries of this type, such as `login_success`.
        event_type: Option<String>,
        /// Only entries that ended so.
        status: Option<AuditStatus>,
        /// Only entries from this point in time on.
        start_date: Option<Timestamp>,
        /// Only entries up to this point in time.
        end_date: Option<Timestamp>,
    }
}

impl ApiRequest for QueryAuditLogs {
    type Response = AuditLogPage;

    const OPERATION: &'static Operation = &Operation::new(
        "queryAuditLogs",
        Method::GET,
        "/audit-logs",
        Safety::ReadOnly,
    )
    .with_scope("audit:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.query("limit", self.limit)?;
        encoder.query("offset", self.offset)?;
        encoder.query("user_id", self.user_id.as_ref().map(UserId::as_str))?;
        encoder.query(
            "client_id",
            self.client_id.as_ref().map(OAuthClientId::as_str),
        )?;
        encoder.query("event_type", self.event_type.as_deref())?;
        encoder.query("status", self.status.as_ref().map(AuditStatus::as_str))?;
        encoder.query("start_date", self.start_date)?;
        encoder.query("end_date", self.end_date)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<AuditLogPage, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `getUserAuditLogs`: one page of the entries about a user, newest first.
///
/// It takes no dates, so entries that are made meanwhile move those of the next page. A
/// [`Pager`](crate::Pager) copes with that; [`QueryAuditLogs`] with a
/// [`user_id`](QueryAuditLogs::user_id()) and an end does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetUserAuditLogs {
    /// The user.
    pub user_id: UserId,
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// See [`offset`](Self::offset()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl GetUserAuditLogs {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            limit: None,
            offset: None,
        }
    }

    setters! {
        /// At most this many entries; the server's default is 50, its maximum 100.
        limit: Option<u64>,
        /// Skips this many entries.
        offset: Option<u64>,
    }
}

impl ApiRequest for GetUserAuditLogs {
    type Response = UserAuditLogPage;

    const OPERATION: &'static Operation = &Operation::new(
        "getUserAuditLogs",
        Method::GET,
        "/audit-logs/user/{user_id}",
        Safety::ReadOnly,
    )
    .with_scope("audit:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.query("limit", self.limit)?;
        encoder.query("offset", self.offset)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<UserAuditLogPage, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `getUserSecurityEvents`: the latest entries about a user that matter for its security, newest
/// first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetUserSecurityEvents {
    /// The user.
    pub user_id: UserId,
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl GetUserSecurityEvents {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            limit: None,
        }
    }

    setters! {
        /// At most this many entries; the server's default is 50, its maximum 100.
        limit: Option<u64>,
    }
}

impl ApiRequest for GetUserSecurityEvents {
    type Response = Vec<AuditLogEntry>;

    const OPERATION: &'static Operation = &Operation::new(
        "getUserSecurityEvents",
        Method::GET,
        "/audit-logs/user/{user_id}/security",
        Safety::ReadOnly,
    )
    .with_scope("audit:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.query("limit", self.limit)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<AuditLogEntry>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|Entries { entries }| entries)
    }
}
