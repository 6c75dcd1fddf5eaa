//! What changes things: only ever the fake's.

use std::io::Write;

use idpflare_management::{
    BlockUser, Client, CreateApiKey, CreateClient, CreateUser, DeleteClient, DeleteUser,
    GetUserMfaEnrollments, GrantType, ListUserIdentities, ListUserSessions, Patch, ResetUserMfa,
    RevokeAllUserSessions, RevokeAllUserTokens, RevokeApiKey, RevokeUserSession,
    RotateClientSecret, Scope, UnblockUser, UnlinkUserIdentity, UpdateClient, UpdateUser,
    UpdateUserPassword, User,
};

use secrecy::SecretString;

use crate::Outcome;
use crate::table::or_dash;

pub(crate) async fn users(client: &Client, out: &mut impl Write) -> Outcome {
    writeln!(out)?;
    let password = SecretString::from("correct horse battery staple");
    writeln!(out, "Creating a user with the password {password:?}")?;
    let new = CreateUser::new("ada@example.com")
        .given_name("Ada")
        .family_name("Lovelace")
        .password(password)
        .roles(["user"]);
    let ada = client.send(new).await?;
    writeln!(out, "  created {} as {}", ada.email, ada.id)?;

    let again = client.send(CreateUser::new("ada@example.com")).await;
    if let Err(error) = again {
        writeln!(out, "  once more: {error}")?;
    }

    let update = UpdateUser::new(&ada.id)
        .family_name(Patch::Clear)
        .roles(["user", "editor"]);
    let ada = client.send(update).await?;
    writeln!(
        out,
        "  updated: family name {}, roles {}",
        or_dash(ada.family_name),
        ada.roles.join(" ")
    )?;

    let password = UpdateUserPassword::new(&ada.id, "a better one than that");
    client.send(password).await?;
    client
        .send(BlockUser::new(&ada.id).reason("a tour"))
        .await?;
    client.send(UnblockUser::new(&ada.id)).await?;
    client.send(DeleteUser::new(&ada.id)).await?;
    writeln!(out, "  changed the password, blocked, unblocked, deleted")?;
    Ok(())
}

pub(crate) async fn what_belongs_to(user: &User, client: &Client, out: &mut impl Write) -> Outcome {
    writeln!(out, "\nSigning {} out", user.email)?;
    let sessions = client.send(ListUserSessions::new(&user.id)).await?;
    if let Some(session) = sessions.iter().find(|session| session.is_active) {
        client
            .send(RevokeUserSession::new(&user.id, &session.id))
            .await?;
        writeln!(out, "  revoked session {}", session.id)?;
    }
    let revoked = client.send(RevokeAllUserSessions::new(&user.id)).await?;
    writeln!(out, "  revoked {} more sessions", revoked.sessions_revoked)?;
    let revoked = client.send(RevokeAllUserTokens::new(&user.id)).await?;
    writeln!(out, "  revoked {} refresh tokens", revoked.tokens_revoked)?;
    let enrollments = client.send(GetUserMfaEnrollments::new(&user.id)).await?;
    if let Some(enrollment) = enrollments.into_iter().next() {
        writeln!(out, "  removed the second factor {}", enrollment.method)?;
        client
            .send(ResetUserMfa::new(&user.id).method(enrollment.method))
            .await?;
    }
    let identities = client.send(ListUserIdentities::new(&user.id)).await?;
    for identity in identities {
        client
            .send(UnlinkUserIdentity::new(&user.id, &identity.id))
            .await?;
        writeln!(out, "  unlinked the {} account", identity.provider)?;
    }
    Ok(())
}

pub(crate) async fn without_the_scope(
    user: &User,
    client: &Client,
    out: &mut impl Write,
) -> Outcome {
    writeln!(
        out,
        "\nDeleting {} with a key that may only read",
        user.email
    )?;
    match client.send(DeleteUser::new(&user.id)).await {
        Ok(()) => Err("the fake let it through".into()),
        Err(error) => {
            writeln!(out, "  {error}")?;
            Ok(())
        }
    }
}

pub(crate) async fn api_keys(client: &Client, out: &mut impl Write) -> Outcome {
    let new = CreateApiKey::new("reports").scopes([Scope::UsersRead, Scope::StatsRead]);
    let created = client.send(new).await?;
    writeln!(
        out,
        "\nCreated the API key {}, which is {:?}",
        created.api_key.id, created.raw_key
    )?;
    client.send(RevokeApiKey::new(&created.api_key.id)).await?;
    writeln!(out, "  and revoked it")?;
    Ok(())
}

pub(crate) async fn clients(client: &Client, out: &mut impl Write) -> Outcome {
    let new = CreateClient::new("Tour", ["https://app.example.com/callback"])
        .is_confidential(true)
        .allowed_grant_types([GrantType::AuthorizationCode, GrantType::RefreshToken])
        .access_token_ttl(600);
    let created = client.send(new).await?;
    let id = &created.client.id;
    writeln!(out, "\nCreated the OAuth client {id}")?;
    if let Some(secret) = &created.client_secret {
        writeln!(out, "  with the secret {secret:?}")?;
    }
    let rotated = client.send(RotateClientSecret::new(id)).await?;
    writeln!(out, "  rotated that to {:?}", rotated.client_secret)?;
    let update = UpdateClient::new(id).description("Made by a tour");
    let updated = client.send(update).await?;
    client.send(DeleteClient::new(id)).await?;
    writeln!(
        out,
        "  described it as {}, and deleted it",
        or_dash(updated.description)
    )?;
    Ok(())
}
