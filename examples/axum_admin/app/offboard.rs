//! What is done when somebody leaves.

use idpflare_management::workflows::{Offboard, OffboardReport, StepOutcome};
use idpflare_management::{Client, UserId};
use serde::Serialize;

use super::problem::Problem;

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Offboarded {
    user_id: UserId,
    /// Whether the account was found locked afterwards, with nothing left open. Access tokens that
    /// were issued stay valid until they expire.
    complete: bool,
    steps: Vec<Step>,
}

/// How far a step has come, in words that may be shown to anyone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    step: &'static str,
    outcome: &'static str,
}

/// Blocks a user, and ends all that the user has open.
///
/// If it stops after any step, because one failed or the caller went away, running it again completes
/// it. The caller is told of the first error, and how far each step has come; the log has all errors.
pub(crate) async fn offboard(client: &Client, user_id: UserId) -> Result<Offboarded, Problem> {
    let job = Offboard::new(&user_id).reason("offboarded");
    let report = job.run(client).await;
    let steps = steps(&report);
    let complete = report.is_complete();
    let mut first: Option<Problem> = None;
    for outcome in [
        report.look_up,
        report.block,
        report.revoke_sessions,
        report.revoke_tokens,
    ] {
        if let StepOutcome::Failed(error) | StepOutcome::Unknown(error) = outcome {
            // Which writes it to the log.
            let problem = Problem::from(error);
            first.get_or_insert(problem);
        }
    }
    match first {
        Some(problem) => Err(problem.steps(steps)),
        None => Ok(Offboarded {
            user_id,
            complete,
            steps,
        }),
    }
}

/// Those that were tried.
fn steps(report: &OffboardReport) -> Vec<Step> {
    let outcome = |outcome: &StepOutcome| match outcome {
        StepOutcome::Done => Some("done"),
        StepOutcome::AlreadyDone => Some("nothing to do"),
        StepOutcome::Failed(_) => Some("failed"),
        StepOutcome::Unknown(_) => Some("unknown"),
        _ => None,
    };
    let steps = report.steps().into_iter();
    steps
        .filter_map(|(step, reached)| outcome(reached).map(|outcome| Step { step, outcome }))
        .collect()
}
