//! What only looks.

use std::error::Error;
use std::io::Write;

use idpflare_management::{
    AuditLogEntry, Client, GetUser, GetUserAuditLogs, GetUserMfaEnrollments, GetUserSecurityEvents,
    GetUserStats, GrantType, ListApiKeys, ListClients, ListUserIdentities, ListUserSessions,
    ListUserTokens, ListUsers, QueryAuditLogs, Scope, User,
};

use crate::Outcome;
use crate::table::{or_dash, print, time, yes};

/// Lists users, and returns the one that the tour looks at closely, if there is any.
pub(crate) async fn users(
    client: &Client,
    out: &mut impl Write,
) -> Result<Option<User>, Box<dyn Error>> {
    let page = client.send(ListUsers::new().limit(8)).await?;
    writeln!(
        out,
        "\nUsers: the newest {} of {} users",
        page.users.len(),
        page.total
    )?;
    print(
        out,
        ["id", "e-mail", "name", "roles", "active", "locked", "MFA"],
        page.users.iter().map(|user| {
            let names = [user.given_name.as_deref(), user.family_name.as_deref()];
            let name: Vec<_> = names.into_iter().flatten().collect();
            [
                user.id.to_string(),
                user.email.clone(),
                name.join(" "),
                user.roles.join(" "),
                yes(user.is_active),
                yes(user.is_locked),
                yes(user.mfa_enabled),
            ]
        }),
    )?;
    // One that has something to show, if there is one.
    let with_mfa = page.users.iter().find(|user| user.mfa_enabled);
    let Some(mut chosen) = with_mfa.or(page.users.first()) else {
        return Ok(None);
    };
    for user in page.users.iter().filter(|user| user.mfa_enabled) {
        let identities = client.send(ListUserIdentities::new(&user.id)).await?;
        if !identities.is_empty() {
            chosen = user;
            break;
        }
    }
    Ok(Some(client.send(GetUser::new(&chosen.id)).await?))
}

pub(crate) async fn what_belongs_to(user: &User, client: &Client, out: &mut impl Write) -> Outcome {
    let sessions = client.send(ListUserSessions::new(&user.id)).await?;
    writeln!(out, "\nSessions of {}", user.email)?;
    print(
        out,
        ["id", "from", "city", "active", "last activity"],
        sessions.iter().map(|session| {
            [
                session.id.to_string(),
                or_dash(session.ip_address.as_ref()),
                or_dash(session.city.as_ref()),
                yes(session.is_active),
                time(session.last_activity_at),
            ]
        }),
    )?;

    let enrollments = client.send(GetUserMfaEnrollments::new(&user.id)).await?;
    writeln!(out, "\nSecond factors of {}", user.email)?;
    print(
        out,
        ["method", "enabled", "primary", "last used"],
        enrollments.iter().map(|enrollment| {
            [
                enrollment.method.to_string(),
                yes(enrollment.is_enabled),
                yes(enrollment.is_primary),
                or_dash(enrollment.last_used_at.map(time)),
            ]
        }),
    )?;

    let identities = client.send(ListUserIdentities::new(&user.id)).await?;
    writeln!(out, "\nIdentities of {} at other providers", user.email)?;
    print(
        out,
        ["id", "provider", "account there", "e-mail there"],
        identities.iter().map(|identity| {
            [
                identity.id.to_string(),
                identity.provider.to_string(),
                identity.provider_user_id.clone(),
                or_dash(identity.provider_email.as_ref()),
            ]
        }),
    )?;

    let tokens = client.send(ListUserTokens::new(&user.id)).await?;
    writeln!(out, "\nRefresh tokens of {}", user.email)?;
    print(
        out,
        ["id", "client", "scope", "revoked", "expires"],
        tokens.iter().map(|token| {
            [
                token.id.to_string(),
                token.client_id.to_string(),
                token.scope.clone(),
                yes(token.is_revoked),
                time(token.expires_at),
            ]
        }),
    )?;
    Ok(())
}

pub(crate) async fn api_keys(client: &Client, out: &mut impl Write) -> Outcome {
    let keys = client.send(ListApiKeys::new().limit(5)).await?;
    writeln!(out, "\nAPI keys")?;
    print(
        out,
        ["id", "name", "begins with", "scopes", "active"],
        keys.iter().map(|key| {
            let scopes: Vec<_> = key.scopes.iter().map(Scope::as_str).collect();
            [
                key.id.to_string(),
                key.name.clone(),
                format!("{}…", key.key_prefix),
                if scopes.len() > 3 {
                    format!("{} and {} more", scopes[..2].join(" "), scopes.len() - 2)
                } else {
                    scopes.join(" ")
                },
                yes(key.is_active),
            ]
        }),
    )?;
    Ok(())
}

pub(crate) async fn clients(client: &Client, out: &mut impl Write) -> Outcome {
    let page = client.send(ListClients::new().limit(5)).await?;
    writeln!(
        out,
        "\nOAuth clients: the newest {} of {}",
        page.clients.len(),
        page.total
    )?;
    print(
        out,
        ["id", "name", "confidential", "PKCE", "grant types"],
        page.clients.iter().map(|client| {
            let grants = client.allowed_grant_types.iter();
            let grants: Vec<_> = grants.map(GrantType::as_str).collect();
            [
                client.id.to_string(),
                client.name.clone(),
                yes(client.is_confidential),
                yes(client.require_pkce),
                grants.join(" "),
            ]
        }),
    )?;
    Ok(())
}

pub(crate) async fn audit_log(client: &Client, out: &mut impl Write) -> Outcome {
    let log = client.send(QueryAuditLogs::new().limit(6)).await?;
    let (shown, total) = (log.entries.len(), log.total);
    writeln!(out, "\nAudit log: the latest {shown} of {total} entries")?;
    entries(&log.entries, out)
}

pub(crate) async fn audit_log_of(user: &User, client: &Client, out: &mut impl Write) -> Outcome {
    let log = client
        .send(GetUserAuditLogs::new(&user.id).limit(3))
        .await?;
    let events = client
        .send(GetUserSecurityEvents::new(&user.id).limit(3))
        .await?;
    writeln!(
        out,
        "\nOf {} entries about {}, the latest",
        log.total, user.email
    )?;
    entries(&log.entries, out)?;
    writeln!(out, "\nThe latest about its security")?;
    entries(&events, out)
}

fn entries(entries: &[AuditLogEntry], out: &mut impl Write) -> Outcome {
    print(
        out,
        ["time", "event", "status", "user", "client"],
        entries.iter().map(|entry| {
            [
                time(entry.created_at),
                entry.event_type.clone(),
                entry.status.to_string(),
                or_dash(entry.user_id.as_ref()),
                or_dash(entry.client_id.as_ref()),
            ]
        }),
    )?;
    Ok(())
}

pub(crate) async fn stats(client: &Client, out: &mut impl Write) -> Outcome {
    let stats = client.send(GetUserStats::new()).await?;
    writeln!(
        out,
        "\nStatistics: {} users, of which {} active, {} with a verified address, {} with MFA",
        stats.total, stats.active, stats.verified, stats.mfa_enabled
    )?;
    Ok(())
}
