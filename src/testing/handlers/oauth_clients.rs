//! OAuth clients. Nothing signs in here, so their secrets are not kept.

use serde_json::{Value, json};

use super::{names, patch, set};
use crate::testing::input::Input;
use crate::testing::respond::{Outcome, Reply};
use crate::testing::secret::secret;
use crate::testing::state::{Store, Subject};
use crate::{ClientChanges, CreateClient, GrantType, OAuthClient, OAuthClientPage};

const SECRET_PREFIX: &str = "ids_";
const HOUR: u64 = 60 * 60;

/// What may be left out, but not be `null`.
const NEVER_NULL: [&str; 11] = [
    "name",
    "redirect_uris",
    "is_confidential",
    "is_first_party",
    "allowed_grant_types",
    "allowed_scopes",
    "access_token_ttl",
    "refresh_token_ttl",
    "id_token_ttl",
    "require_pkce",
    "is_active",
];

pub(super) fn list(store: &mut Store, input: &Input) -> Outcome {
    let paging = input.query.paging()?;
    let is_active = input.query.flag("is_active")?;
    let clients = store.clients.newest_first();
    let (clients, total) =
        paging.of(clients.filter(|client| is_active.is_none_or(|is| client.is_active == is)));
    Ok(Reply::ok(&OAuthClientPage {
        clients,
        total,
        limit: paging.limit,
        offset: paging.offset,
    }))
}

pub(super) fn get(store: &mut Store, input: &Input) -> Outcome {
    Ok(Reply::ok(store.client(input.param("client_id"))?))
}

pub(super) fn create(store: &mut Store, input: &Input) -> Outcome {
    let new: CreateClient = input.body(&["name", "redirect_uris"], &NEVER_NULL)?;
    check(
        Some(new.name.as_str()),
        Some(&new.redirect_uris),
        new.post_logout_redirect_uris.as_ref(),
    )?;
    let client = build(store, new);
    store
        .clients
        .insert(&client.id, client.created_at, client.clone());
    store.log("client_created", &Subject::Client(&client.id), Value::Null);
    let mut created = json!({"client": client});
    if client.is_confidential {
        created["client_secret"] = secret(SECRET_PREFIX).into();
    }
    Ok(Reply::created(&created))
}

/// The client that `new` asks for, with the defaults for all else.
pub(in crate::testing) fn build(store: &mut Store, new: CreateClient) -> OAuthClient {
    let texts = |texts: &[&str]| texts.iter().copied().map(String::from).collect();
    let now = store.now();
    OAuthClient {
        id: store.id("cli"),
        name: new.name,
        description: new.description,
        logo_url: new.logo_url,
        is_confidential: new.is_confidential.unwrap_or(true),
        is_first_party: new.is_first_party.unwrap_or(false),
        redirect_uris: new.redirect_uris,
        allowed_origins: new.allowed_origins,
        post_logout_redirect_uris: new.post_logout_redirect_uris,
        allowed_grant_types: new
            .allowed_grant_types
            .unwrap_or_else(|| vec![GrantType::AuthorizationCode, GrantType::RefreshToken]),
        allowed_scopes: new
            .allowed_scopes
            .unwrap_or_else(|| texts(&["openid", "profile", "email"])),
        default_scopes: new.default_scopes,
        access_token_ttl: new.access_token_ttl.unwrap_or(HOUR),
        refresh_token_ttl: new.refresh_token_ttl.unwrap_or(30 * 24 * HOUR),
        id_token_ttl: new.id_token_ttl.unwrap_or(HOUR),
        require_pkce: new.require_pkce.unwrap_or(true),
        is_active: true,
        metadata: new.metadata,
        created_at: now,
        updated_at: now,
    }
}

pub(super) fn update(store: &mut Store, input: &Input) -> Outcome {
    store.client(input.param("client_id"))?;
    let changes: ClientChanges = input.body(&[], &NEVER_NULL)?;
    check(
        changes.name.as_deref(),
        changes.redirect_uris.as_ref(),
        changes.post_logout_redirect_uris.as_set(),
    )?;
    let changed = names(&changes);
    let client = store.touch_client(input.param("client_id"))?;
    apply(client, changes);
    let client = client.clone();
    let details = json!({"changed": changed});
    store.log("client_updated", &Subject::Client(&client.id), details);
    Ok(Reply::ok(&client))
}

fn apply(client: &mut OAuthClient, changes: ClientChanges) {
    // Without `..`, so that a new field can't be forgotten.
    let ClientChanges {
        name,
        redirect_uris,
        description,
        logo_url,
        is_first_party,
        allowed_origins,
        post_logout_redirect_uris,
        allowed_grant_types,
        allowed_scopes,
        default_scopes,
        access_token_ttl,
        refresh_token_ttl,
        id_token_ttl,
        require_pkce,
        metadata,
        is_active,
    } = changes;
    set(&mut client.name, name);
    set(&mut client.redirect_uris, redirect_uris);
    patch(&mut client.description, description);
    patch(&mut client.logo_url, logo_url);
    set(&mut client.is_first_party, is_first_party);
    patch(&mut client.allowed_origins, allowed_origins);
    patch(
        &mut client.post_logout_redirect_uris,
        post_logout_redirect_uris,
    );
    set(&mut client.allowed_grant_types, allowed_grant_types);
    set(&mut client.allowed_scopes, allowed_scopes);
    patch(&mut client.default_scopes, default_scopes);
    set(&mut client.access_token_ttl, access_token_ttl);
    set(&mut client.refresh_token_ttl, refresh_token_ttl);
    set(&mut client.id_token_ttl, id_token_ttl);
    set(&mut client.require_pkce, require_pkce);
    patch(&mut client.metadata, metadata);
    set(&mut client.is_active, is_active);
}

pub(super) fn delete(store: &mut Store, input: &Input) -> Outcome {
    let client = store
        .clients
        .remove(input.param("client_id"))
        .ok_or_else(|| Reply::not_found("Client"))?;
    store.log("client_deleted", &Subject::Client(&client.id), Value::Null);
    Ok(Reply::nothing())
}

pub(super) fn rotate_secret(store: &mut Store, input: &Input) -> Outcome {
    let client = store.client(input.param("client_id"))?;
    if !client.is_confidential {
        return Err(Reply::invalid("client_id: a public client has no secret"));
    }
    let id = store.touch_client(input.param("client_id"))?.id.clone();
    store.log("client_secret_rotated", &Subject::Client(&id), Value::Null);
    Ok(Reply::ok(&json!({"client_secret": secret(SECRET_PREFIX)})))
}

fn check(
    name: Option<&str>,
    redirect_uris: Option<&Vec<String>>,
    post_logout_redirect_uris: Option<&Vec<String>>,
) -> Result<(), Reply> {
    if name.is_some_and(|name| name.trim().is_empty()) {
        return Err(Reply::invalid("name"));
    }
    for (argument, uris) in [
        ("redirect_uris", redirect_uris),
        ("post_logout_redirect_uris", post_logout_redirect_uris),
    ] {
        if !uris.into_iter().flatten().all(|uri| is_redirect_uri(uri)) {
            return Err(Reply::invalid(argument));
        }
    }
    Ok(())
}

/// Whether `uri` is absolute and has no fragment (RFC 6749, section 3.1.2). Apps have schemes of
/// their own (RFC 8252, section 7.1).
fn is_redirect_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    let has_target = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => rest
            .strip_prefix("//")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', ':', '@'])),
        _ => !rest.is_empty(),
    };
    is_scheme
        && has_target
        && !uri.contains(|char: char| char == '#' || char.is_whitespace() || char.is_control())
}
