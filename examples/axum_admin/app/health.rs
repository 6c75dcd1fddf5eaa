//! What an orchestrator asks.

use std::time::Duration;

use axum::extract::State;
use idpflare_management::{Client, GetUserStats};

use super::problem::{Kind, Problem};

/// Less than the patience of those who ask.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Whether the process works. It asks nobody: a restart does not help against the failure of another
/// service.
pub(crate) async fn live() -> &'static str {
    "alive\n"
}

/// Whether the identity provider can be reached, with this key.
pub(crate) async fn ready(State(client): State<Client>) -> Result<&'static str, Problem> {
    let asked = tokio::time::timeout(READY_WITHIN, client.send(GetUserStats::new())).await;
    match asked {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::new(Kind::NotReady, "Asking it failed."))
        }
        Err(_) => {
            tracing::warn!("not ready: no answer within {READY_WITHIN:?}");
            Err(Problem::new(Kind::NotReady, "It does not answer."))
        }
    }
}
