//! Whatever arrives, each operation reads it or says in one line why not; nothing else happens.

use std::fmt::Debug;

use bytes::Bytes;
use http::Response;
use idpflare_management::{
    ApiKey, ApiRequest, AuditLogEntry, CreateApiKey, CreateClient, GetUser, MfaEnrollment,
    OAuthClient, OPERATIONS, RefreshToken, RotateClientSecret, SocialIdentity, User, UserSession,
    UserStats, decode_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exchange::Exchange;
use crate::operations::with_operation;
use crate::text::{self, SECRET};

pub(crate) fn check(data: &[u8]) {
    let Exchange { reply, .. } = Exchange::read(data);
    for operation in OPERATIONS {
        with_operation!(operation.id, is_read_or_told(&reply)).expect("every operation");
    }
    secrets_stay_hidden(&reply);
    survives::<ApiKey>(&reply);
    survives::<AuditLogEntry>(&reply);
    survives::<MfaEnrollment>(&reply);
    survives::<OAuthClient>(&reply);
    survives::<RefreshToken>(&reply);
    survives::<SocialIdentity>(&reply);
    survives::<User>(&reply);
    survives::<UserSession>(&reply);
    survives::<UserStats>(&reply);
    survives::<Value>(&reply);
}

fn is_read_or_told<R: ApiRequest>(reply: &Response<Bytes>) {
    let Err(error) = R::decode(reply) else {
        return;
    };
    let text = error.to_string();
    text::is_a_line(&text);
    text::is_no_longer_than(1000, &text);
    if R::OPERATION.sensitive {
        text::is_without_secrets(&text);
        text::is_without_secrets(&format!("{error:?}"));
    }
}

/// Where a secret was read, its place does not show it. It may be in others, too.
fn secrets_stay_hidden(reply: &Response<Bytes>) {
    let times = |value: &dyn Debug| format!("{value:?}").matches(SECRET).count();
    if let Ok(created) = CreateApiKey::decode(reply) {
        assert_eq!(times(&created), times(&created.api_key));
    }
    if let Ok(created) = CreateClient::decode(reply) {
        assert_eq!(times(&created), times(&created.client));
    }
    if let Ok(rotated) = RotateClientSecret::decode(reply) {
        assert_eq!(times(&rotated), 0);
    }
}

/// What was read is what `serde_json` reads, and says the same when it is written and read again.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(reply: &Response<Bytes>) {
    let read = decode_json::<T>(reply, GetUser::OPERATION).ok();
    let text = std::str::from_utf8(reply.body()).ok();
    let plain = text.and_then(|text| serde_json::from_str(text).ok());
    assert_eq!(read, plain);
    if let Some(value) = plain {
        // Not as text, in which the last bit of a number may get lost.
        let written = serde_json::to_value(&value).expect("it has no secret");
        let again: T = serde_json::from_value(written).expect("it was read before");
        assert_eq!(again, value);
    }
}
