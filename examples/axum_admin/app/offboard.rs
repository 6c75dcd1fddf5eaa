//! What is done when somebody leaves.

use idpflare_management::{
    BlockUser, Client, Error, RevokeAllUserSessions, RevokeAllUserTokens, UserId,
};
use serde::Serialize;

/// What was ended.
#[derive(Serialize)]
pub(crate) struct Offboarded {
    user_id: UserId,
    /// Those that the block has not ended already.
    sessions_revoked: u64,
    tokens_revoked: u64,
}

/// Blocks a user, and ends all that the user has open. Access tokens that were issued stay valid
/// until they expire.
///
/// The block comes first, so that nobody signs in between the steps. If it stops after any of them,
/// because one failed or the caller went away, running it again completes it.
pub(crate) async fn offboard(client: &Client, user_id: UserId) -> Result<Offboarded, Error> {
    client
        .send(BlockUser::new(&user_id).reason("offboarded"))
        .await?;
    let sessions = client.send(RevokeAllUserSessions::new(&user_id)).await?;
    let tokens = client.send(RevokeAllUserTokens::new(&user_id)).await?;
    Ok(Offboarded {
        user_id,
        sessions_revoked: sessions.sessions_revoked,
        tokens_revoked: tokens.tokens_revoked,
    })
}
