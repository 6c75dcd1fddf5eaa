//! What is done when somebody leaves.

use idpflare_management::workflows::{Offboard, StepOutcome};
use idpflare_management::{Client, Error, UserId};
use serde::Serialize;

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Offboarded {
    user_id: UserId,
    /// Whether the account was found locked afterwards, with nothing left open. Access tokens that
    /// were issued stay valid until they expire.
    complete: bool,
}

/// Blocks a user, and ends all that the user has open.
///
/// If it stops after any step, because one failed or the caller went away, running it again completes
/// it.
pub(crate) async fn offboard(client: &Client, user_id: UserId) -> Result<Offboarded, Error> {
    let job = Offboard::new(&user_id).reason("offboarded");
    let report = job.run(client).await;
    let complete = report.is_complete();
    for step in [
        report.look_up,
        report.block,
        report.revoke_sessions,
        report.revoke_tokens,
    ] {
        if let StepOutcome::Failed(error) | StepOutcome::Unknown(error) = step {
            return Err(error);
        }
    }
    Ok(Offboarded { user_id, complete })
}
