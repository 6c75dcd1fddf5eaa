//! What several tests share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unused_macros, unused_imports, reason = "each test uses a part of it")]

pub(crate) mod capture;
pub(crate) mod dice;
pub(crate) mod drive;
pub(crate) mod example;
pub(crate) mod operations;
pub(crate) mod server;
pub(crate) mod strict;
#[cfg(feature = "hyper")]
pub(crate) mod tls;

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use idpflare_management::{
    ClientSecret, CreatedApiKey, CreatedClient, OAuthClientPage, RevokedSessions, RevokedTokens,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub(crate) use operations::with_operation;

/// A reply's value as the JSON that the protocol's types describe, secrets included.
pub(crate) trait ToJson {
    fn to_json(&self) -> Value;
}

macro_rules! serialized {
    ($($type:ty),* $(,)?) => {$(
        impl ToJson for $type {
            fn to_json(&self) -> Value {
                serde_json::to_value(self).expect("a reply without a secret serialises")
            }
        }
    )*};
}

serialized! {
    (),
    idpflare_management::User,
    idpflare_management::UserPage,
    Vec<idpflare_management::UserSession>,
    RevokedSessions,
    Vec<idpflare_management::MfaEnrollment>,
    Vec<idpflare_management::SocialIdentity>,
    Vec<idpflare_management::RefreshToken>,
    RevokedTokens,
    Vec<idpflare_management::ApiKey>,
    idpflare_management::OAuthClient,
    OAuthClientPage,
    idpflare_management::AuditLogPage,
    idpflare_management::UserAuditLogPage,
    Vec<idpflare_management::AuditLogEntry>,
    idpflare_management::UserStats,
}

impl ToJson for CreatedApiKey {
    fn to_json(&self) -> Value {
        json!({"api_key": self.api_key, "raw_key": self.raw_key.expose_secret()})
    }
}

impl ToJson for CreatedClient {
    fn to_json(&self) -> Value {
        let mut json = json!({"client": self.client});
        if let Some(secret) = &self.client_secret {
            json["client_secret"] = json!(secret.expose_secret());
        }
        json
    }
}

impl ToJson for ClientSecret {
    fn to_json(&self) -> Value {
        json!({"client_secret": self.client_secret.expose_secret()})
    }
}

/// A body that never has anything to say.
pub(crate) struct Pending;

impl http_body::Body for Pending {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// The recorded exchanges that are carried along.
pub(crate) fn recorded(file: &str) -> Vec<Value> {
    lines(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/wire")
            .join(file),
    )
}

/// A file of JSON, one value a line.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!("{} can't be read: {error}", path.display());
    });
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

/// The arguments of a recorded call as one object: those that were passed as `options` or `request`
/// beside the others.
pub(crate) fn arguments(input: &Value) -> Value {
    let mut all = serde_json::Map::new();
    for (name, value) in input.as_object().expect("arguments are an object") {
        match value {
            Value::Object(inner) if name == "options" || name == "request" => {
                all.extend(inner.clone());
            }
            value => {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(all)
}
