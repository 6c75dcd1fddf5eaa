//! Users and their accounts.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{names, patch, set};
use crate::testing::input::Input;
use crate::testing::respond::{Outcome, Reply};
use crate::testing::state::{Account, Store, Subject};
use crate::{CreateUser, User, UserChanges, UserId, UserPage, UserStats};

const MIN_PASSWORD_LENGTH: usize = 8;

pub(super) fn list(store: &mut Store, input: &Input) -> Outcome {
    let query = &input.query;
    let paging = query.paging()?;
    let search = query.text("search").map(str::to_lowercase);
    let role = query.text("role");
    let is_active = query.flag("is_active")?;
    let email_verified = query.flag("email_verified")?;
    let (users, total) = paging.of(all(store).filter(|user| {
        search.as_deref().is_none_or(|search| has(user, search))
            && role.is_none_or(|role| user.roles.iter().any(|has| has == role))
            && is_active.is_none_or(|wanted| user.is_active == wanted)
            && email_verified.is_none_or(|wanted| user.email_verified == wanted)
    }));
    Ok(Reply::ok(&UserPage {
        users,
        total,
        limit: paging.limit,
        offset: paging.offset,
    }))
}

fn all(store: &Store) -> impl Iterator<Item = &User> {
    store.accounts.newest_first().map(|account| &account.user)
}

/// Whether address or name have `search`, which is in lower case, in them.
fn has(user: &User, search: &str) -> bool {
    [
        Some(&user.email),
        user.given_name.as_ref(),
        user.family_name.as_ref(),
    ]
    .into_iter()
    .flatten()
    .any(|text| text.to_lowercase().contains(search))
}

pub(super) fn get(store: &mut Store, input: &Input) -> Outcome {
    let account = store.account(input.param("user_id"))?;
    Ok(Reply::ok(&account.user))
}

pub(super) fn create(store: &mut Store, input: &Input) -> Outcome {
    let new: CreateUser = input.body(
        &["email"],
        &["password", "locale", "email_verified", "roles", "is_active"],
    )?;
    check_email(&new.email)?;
    if let Some(password) = &new.password {
        check_password(password)?;
    }
    if store.has_address(&new.email) {
        return Err(email_exists());
    }
    let now = store.now();
    let email_verified = new.email_verified.unwrap_or(false);
    let user = User {
        id: store.id("usr"),
        email: new.email,
        email_verified,
        given_name: new.given_name,
        family_name: new.family_name,
        picture_url: new.picture_url,
        locale: new.locale.unwrap_or_else(|| String::from("en")),
        roles: new.roles.unwrap_or_else(|| vec![String::from("user")]),
        mfa_enabled: false,
        is_active: new.is_active.unwrap_or(true),
        is_locked: false,
        failed_login_attempts: 0,
        locked_until: None,
        metadata: new.metadata,
        created_at: now,
        updated_at: now,
        last_login_at: None,
        email_verified_at: email_verified.then_some(now),
    };
    store.insert_account(Account::new(user.clone()));
    store.log("user_created", &Subject::User(&user.id), Value::Null);
    Ok(Reply::created(&user))
}

pub(super) fn update(store: &mut Store, input: &Input) -> Outcome {
    let before = &store.account(input.param("user_id"))?.user;
    let changes: UserChanges = input.body(
        &[],
        &[
            "email",
            "locale",
            "email_verified",
            "roles",
            "is_active",
            "is_locked",
            "mfa_enabled",
        ],
    )?;
    if let Some(email) = &changes.email {
        check_email(email)?;
        let own = before.email.to_lowercase() == email.to_lowercase();
        if !own && store.has_address(email) {
            return Err(email_exists());
        }
        let old = before.email.clone();
        store.free_address(&old);
        store.take_address(email);
    }
    let changed = names(&changes);
    let user = &mut store.touch_account(input.param("user_id"))?.user;
    apply(user, changes);
    let user = user.clone();
    let details = json!({"changed": changed});
    store.log("user_updated", &Subject::User(&user.id), details);
    Ok(Reply::ok(&user))
}

fn apply(user: &mut User, changes: UserChanges) {
    // Without `..`, so that a new field can't be forgotten.
    let UserChanges {
        email,
        given_name,
        family_name,
        picture_url,
        locale,
        email_verified,
        roles,
        is_active,
        is_locked,
        mfa_enabled,
        metadata,
    } = changes;
    set(&mut user.email, email);
    patch(&mut user.given_name, given_name);
    patch(&mut user.family_name, family_name);
    patch(&mut user.picture_url, picture_url);
    set(&mut user.locale, locale);
    set(&mut user.roles, roles);
    set(&mut user.is_active, is_active);
    set(&mut user.mfa_enabled, mfa_enabled);
    patch(&mut user.metadata, metadata);
    if let Some(verified) = email_verified {
        user.email_verified = verified;
        user.email_verified_at = match user.email_verified_at {
            Some(already) if verified => Some(already),
            _ => verified.then_some(user.updated_at),
        };
    }
    match is_locked {
        Some(true) => user.is_locked = true,
        Some(false) => unlock(user),
        None => {}
    }
}

fn unlock(user: &mut User) {
    user.is_locked = false;
    user.locked_until = None;
    user.failed_login_attempts = 0;
}

pub(super) fn delete(store: &mut Store, input: &Input) -> Outcome {
    let account = store
        .remove_account(input.param("user_id"))
        .ok_or_else(|| Reply::not_found("User"))?;
    store.log(
        "user_deleted",
        &Subject::User(&account.user.id),
        Value::Null,
    );
    Ok(Reply::nothing())
}

pub(super) fn update_password(store: &mut Store, input: &Input) -> Outcome {
    #[derive(Deserialize)]
    struct Body {
        password: SecretString,
    }

    store.account(input.param("user_id"))?;
    let new: Body = input.body(&["password"], &[])?;
    check_password(&new.password)?;
    // Nothing signs in here, so there is no need to keep it.
    let id = store.touch_account(input.param("user_id"))?.user.id.clone();
    store.log("password_changed", &Subject::User(&id), Value::Null);
    Ok(Reply::nothing())
}

pub(super) fn block(store: &mut Store, input: &Input) -> Outcome {
    #[derive(Deserialize)]
    struct Body {
        reason: Option<String>,
    }

    store.account(input.param("user_id"))?;
    let Body { reason } = input.body(&[], &["reason"])?;
    let account = store.touch_account(input.param("user_id"))?;
    account.user.is_locked = true;
    let mut details = json!({"sessions_revoked": account.end_sessions()});
    if let Some(reason) = reason {
        details["reason"] = reason.into();
    }
    let id = account.user.id.clone();
    store.log("user_blocked", &Subject::User(&id), details);
    Ok(Reply::nothing())
}

pub(super) fn unblock(store: &mut Store, input: &Input) -> Outcome {
    let user = &mut store.touch_account(input.param("user_id"))?.user;
    unlock(user);
    let id: UserId = user.id.clone();
    store.log("user_unblocked", &Subject::User(&id), Value::Null);
    Ok(Reply::nothing())
}

pub(super) fn stats(store: &mut Store, _: &Input) -> Outcome {
    let mut stats = UserStats {
        total: 0,
        active: 0,
        verified: 0,
        mfa_enabled: 0,
        admins: None,
    };
    let mut admins = 0;
    for user in all(store) {
        stats.total += 1;
        stats.active += u64::from(user.is_active);
        stats.verified += u64::from(user.email_verified);
        stats.mfa_enabled += u64::from(user.mfa_enabled);
        admins += u64::from(user.roles.iter().any(|role| role == "admin"));
    }
    stats.admins = Some(admins);
    Ok(Reply::ok(&stats))
}

fn email_exists() -> Reply {
    Reply::error(http::StatusCode::CONFLICT, "Email already exists")
}

fn check_email(email: &str) -> Result<(), Reply> {
    let valid = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && domain
                .split('.')
                .all(|label| !label.is_empty() && !label.contains('@'))
    });
    if valid && !email.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err(Reply::invalid("email"))
    }
}

fn check_password(password: &SecretString) -> Result<(), Reply> {
    if password.expose_secret().chars().count() >= MIN_PASSWORD_LENGTH {
        Ok(())
    } else {
        Err(Reply::invalid(&format!(
            "password: it must have at least {MIN_PASSWORD_LENGTH} characters"
        )))
    }
}
