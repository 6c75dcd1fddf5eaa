//! What an orchestrator asks.

use std::time::Duration;

use axum::extract::State;
use idpflare_management::{ApiRequest, CallOptions, Client, ErrorKind, GetUserStats};

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
    let quickly = CallOptions::new().deadline(READY_WITHIN);
    let Err(error) = client.send(GetUserStats::new().with(quickly)).await else {
        return Ok("ready\n");
    };
    tracing::warn!(%error, "not ready");
    let detail = match error.kind() {
        ErrorKind::Timeout => "It does not answer.",
        _ => "Asking it failed.",
    };
    Err(Problem::new(Kind::NotReady, detail))
}
