use super::fault::Fault;
use crate::Operation;
use crate::testing::dice::Dice;

/// A rule of a [`FaultScript`](super::FaultScript): a fault, and which requests have it.
///
/// Without more it is the next request, of any operation.
///
/// ```
/// use idpflare_management::testing::{Fault, FaultRule};
/// use idpflare_management::{ApiRequest, DeleteUser};
///
/// // The second and the third time that a user is deleted.
/// let rule = FaultRule::new(Fault::truncated_body())
///     .operation(DeleteUser::OPERATION)
///     .after(1)
///     .times(2);
///
/// // One request in five, for as long as the script is in use.
/// let rule = FaultRule::any_of([Fault::reset_before_reply(), Fault::reply_lost()]).probability(0.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule does nothing until it is in a script"]
pub struct FaultRule {
    faults: Vec<Fault>,
    operation: Option<&'static Operation>,
    after: u64,
    times: Option<u64>,
    probability: Option<f64>,
}

impl FaultRule {
    /// This fault, for the next request.
    pub fn new(fault: Fault) -> Self {
        Self::any_of([fault])
    }

    /// One of these faults each time, drawn by the script's seed. Of none it never applies.
    pub fn any_of(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            faults: faults.into_iter().collect(),
            operation: None,
            after: 0,
            times: None,
            probability: None,
        }
    }

    /// Only for requests of this operation.
    pub fn operation(mut self, operation: &'static Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Lets the first `requests` that it meets pass.
    pub fn after(mut self, requests: u64) -> Self {
        self.after = requests;
        self
    }

    /// Applies so many times. The default is once; with a [`probability`](Self::probability) there is
    /// no limit.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies to a request with this probability, from 0 (never) to 1 (always).
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// The fault of a request of `operation`, where it applies to that; it counts those.
    pub(super) fn next(&mut self, operation: &Operation, dice: &mut Dice) -> Option<Fault> {
        let meets = self.operation.is_none_or(|only| only.id == operation.id);
        if !meets || self.faults.is_empty() {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        let times = match (self.times, self.probability) {
            (Some(times), _) => times,
            (None, None) => 1,
            (None, Some(_)) => u64::MAX,
        };
        if times == 0 || self.probability.is_some_and(|p| !dice.chance(p)) {
            return None;
        }
        self.times = Some(times - 1);
        Some(dice.pick(&self.faults).clone())
    }
}
