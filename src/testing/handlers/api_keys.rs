//! API keys.

use serde_json::json;

use crate::testing::input::Input;
use crate::testing::respond::{Outcome, Reply};
use crate::testing::state::{Store, Subject};
use crate::{CreateApiKey, Scope};

pub(super) fn list(store: &mut Store, input: &Input) -> Outcome {
    let paging = input.query.paging()?;
    let active_only = input.query.flag("active_only")?.unwrap_or(false);
    let keys = store.keys.newest_first();
    let (keys, _) = paging.of(keys.filter(|key| key.is_active || !active_only));
    Ok(Reply::ok(&json!({"api_keys": keys})))
}

pub(super) fn create(store: &mut Store, input: &Input) -> Outcome {
    let new: CreateApiKey = input.body(&["name"], &["scopes"])?;
    if new.name.trim().is_empty() {
        return Err(Reply::invalid("name"));
    }
    let scopes = new.scopes.unwrap_or_default();
    if scopes
        .iter()
        .any(|scope| matches!(scope, Scope::Unknown(_)))
    {
        return Err(Reply::invalid("scopes"));
    }
    let (key, raw_key) = store.insert_key(new.name, scopes, input.acting.clone());
    let details = json!({"api_key_id": key.id});
    store.log("api_key_created", &Subject::ApiKey, details);
    Ok(Reply::created(&json!({"api_key": key, "raw_key": raw_key})))
}

pub(super) fn revoke(store: &mut Store, input: &Input) -> Outcome {
    let key = store
        .keys
        .get_mut(input.param("key_id"))
        .ok_or_else(|| Reply::not_found("API key"))?;
    key.is_active = false;
    let details = json!({"api_key_id": key.id});
    store.log("api_key_revoked", &Subject::ApiKey, details);
    Ok(Reply::nothing())
}
