//! What users sign in with, and where they are signed in: sessions, second factors, identities and
//! tokens.

use serde::Serialize;
use serde_json::{Value, json};

use crate::testing::input::Input;
use crate::testing::respond::{Outcome, Reply};
use crate::testing::state::{Account, Store, Subject};
use crate::{MfaMethod, RevokedSessions, RevokedTokens, UserId};

/// Answers with a list of the user's, newest first.
fn list<T: Serialize>(
    store: &Store,
    input: &Input,
    name: &str,
    rows: fn(&Account) -> &[T],
) -> Outcome {
    let account = store.account(input.param("user_id"))?;
    let newest_first: Vec<_> = rows(account).iter().rev().collect();
    Ok(Reply::ok(&json!({ name: newest_first })))
}

pub(super) fn list_sessions(store: &mut Store, input: &Input) -> Outcome {
    list(store, input, "sessions", |account| &account.sessions)
}

pub(super) fn list_mfa(store: &mut Store, input: &Input) -> Outcome {
    list(store, input, "enrollments", |account| &account.mfa)
}

pub(super) fn list_identities(store: &mut Store, input: &Input) -> Outcome {
    list(store, input, "identities", |account| &account.identities)
}

pub(super) fn list_tokens(store: &mut Store, input: &Input) -> Outcome {
    list(store, input, "tokens", |account| &account.tokens)
}

/// Writes what was done to the user's access into the audit log.
fn log(store: &mut Store, input: &Input, event_type: &str, details: Value) {
    let id = UserId::from(input.param("user_id"));
    store.log(event_type, &Subject::User(&id), details);
}

pub(super) fn revoke_session(store: &mut Store, input: &Input) -> Outcome {
    let id = input.param("session_id");
    let account = store.account_mut(input.param("user_id"))?;
    let session = account
        .sessions
        .iter_mut()
        .find(|session| session.id.as_str() == id)
        .ok_or_else(|| Reply::not_found("Session"))?;
    session.is_active = false;
    log(store, input, "session_revoked", json!({"session_id": id}));
    Ok(Reply::nothing())
}

pub(super) fn revoke_all_sessions(store: &mut Store, input: &Input) -> Outcome {
    let account = store.account_mut(input.param("user_id"))?;
    let revoked = RevokedSessions {
        sessions_revoked: account.end_sessions(),
    };
    log(store, input, "sessions_revoked", json!(revoked));
    Ok(Reply::ok(&revoked))
}

pub(super) fn reset_mfa(store: &mut Store, input: &Input) -> Outcome {
    let method = input.query.text("method").map(MfaMethod::from);
    let account = store.touch_account(input.param("user_id"))?;
    match &method {
        Some(method) => account.mfa.retain(|enrolled| enrolled.method != *method),
        None => account.mfa.clear(),
    }
    if account.mfa.is_empty() {
        account.user.mfa_enabled = false;
    }
    let details = method.map_or(Value::Null, |method| json!({"method": method}));
    log(store, input, "mfa_reset", details);
    Ok(Reply::nothing())
}

pub(super) fn unlink_identity(store: &mut Store, input: &Input) -> Outcome {
    let id = input.param("identity_id");
    let account = store.account_mut(input.param("user_id"))?;
    let index = account
        .identities
        .iter()
        .position(|identity| identity.id.as_str() == id)
        .ok_or_else(|| Reply::not_found("Identity"))?;
    let provider = account.identities.remove(index).provider;
    let details = json!({"identity_id": id, "provider": provider});
    log(store, input, "identity_unlinked", details);
    Ok(Reply::nothing())
}

pub(super) fn revoke_all_tokens(store: &mut Store, input: &Input) -> Outcome {
    let account = store.account_mut(input.param("user_id"))?;
    let mut tokens_revoked = 0;
    for token in &mut account.tokens {
        tokens_revoked += u64::from(!std::mem::replace(&mut token.is_revoked, true));
    }
    let revoked = RevokedTokens { tokens_revoked };
    log(store, input, "tokens_revoked", json!(revoked));
    Ok(Reply::ok(&revoked))
}
