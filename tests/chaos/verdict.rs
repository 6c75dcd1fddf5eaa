//! Whether what a caller was told is what the server did.

use http::StatusCode;
use idpflare_management::testing::RequestLogEntry;
use idpflare_management::{Delivery, Error, Safety};

use crate::acts::{Act, Told};
use crate::state::State;

#[derive(Default)]
pub(crate) struct Verdict {
    /// Changes that were acknowledged and are not there.
    pub(crate) lost: usize,
    /// Changes that were to be made once and were made more often.
    pub(crate) duplicated: usize,
    /// Failures of which the caller was told that nobody knows.
    pub(crate) unknown: usize,
}

impl Verdict {
    pub(crate) async fn judge(
        &mut self,
        act: &Act,
        told: &Told,
        requests: &[RequestLogEntry],
        state: &State,
    ) {
        let place = format!(
            "{act:?}: {:?}, {} attempts, {requests:?}",
            told.outcome, told.attempts
        );
        let performed = requests.iter().filter(|request| request.performed).count();
        let made = made(act, performed, state).await;
        if told.outcome.is_ok() && made == Some(0) {
            self.lost += 1;
            eprintln!("lost: {place}");
        }
        // No other caller has that name, so only a repeat can be in conflict.
        let conflict = told
            .outcome
            .as_ref()
            .is_err_and(|error| error.status() == Some(StatusCode::CONFLICT));
        if act.operation().safety == Safety::Once && (made > Some(1) || conflict) {
            self.duplicated += 1;
            eprintln!("duplicated: {place}");
        }
        assert!(requests.len() <= told.attempts as usize, "{place}");
        let Err(error) = &told.outcome else {
            return;
        };
        assert_eq!(error.attempts(), told.attempts, "{place}");
        match error.delivery() {
            Delivery::NotSent => {
                assert!(requests.is_empty(), "{place}");
                assert!(made.is_none_or(|made| made == 0), "{place}");
            }
            Delivery::Answered => match made {
                None => {}
                Some(made) if arrived_as_success(error) => assert!(made > 0, "{place}"),
                // An earlier attempt may have been answered with a success that broke off.
                Some(_) if act.operation().safety == Safety::Idempotent => {
                    let answered = requests.iter().filter(|request| request.performed);
                    let mut statuses = answered.map(|request| request.status);
                    assert!(
                        statuses.all(|status| status.is_some_and(|status| status.is_success())),
                        "{place}"
                    );
                }
                Some(made) => assert_eq!(made, 0, "{place}"),
            },
            Delivery::Unknown => {
                self.unknown += 1;
                // Without a fault it takes a machine that is too busy to hear the answer in time.
                let may_be = requests
                    .iter()
                    .any(|request| request.fault.is_some() || request.performed);
                let tells_nothing = act.subject().is_none() || error.timeout().is_some();
                assert!(may_be || tells_nothing, "{place}");
            }
            other => panic!("{other:?}: {place}"),
        }
    }
}

/// Whether a success arrived that could not be used, or of which the body did not.
fn arrived_as_success(error: &Error) -> bool {
    error.status().is_some_and(|status| status.is_success())
}

/// How often the change was made, as far as the server's state or its ledger can tell; `None` for
/// what changes nothing.
async fn made(act: &Act, performed: usize, state: &State) -> Option<usize> {
    let if_made = |made: bool| if made { performed.max(1) } else { 0 };
    Some(match act {
        Act::GetUser(_) | Act::ListUsers | Act::GetUserStats => return None,
        Act::Rename(id, name) => if_made(state.users[id].given_name.as_ref() == Some(name)),
        Act::Block(id) => if_made(state.users[id].is_locked && !state.has_active_session(id).await),
        Act::RevokeSessions(id) if performed > 0 => if_made(!state.has_active_session(id).await),
        Act::ResetMfa(id) if performed > 0 => if_made(!state.has_mfa(id).await),
        Act::Delete(id) => if_made(!state.users.contains_key(id)),
        Act::SetPassword(_) | Act::RotateSecret(_) | Act::RevokeSessions(_) | Act::ResetMfa(_) => {
            performed
        }
        Act::CreateUser(name) | Act::CreateApiKey(name) | Act::CreateClient(name) => {
            state.count(name)
        }
    })
}
