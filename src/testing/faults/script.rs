use super::fault::Fault;
use super::file::{self, InvalidFaultScript};
use super::rule::FaultRule;
use crate::Operation;
use crate::testing::dice::Dice;

/// Which faults happen to which requests: rules, in order.
///
/// A request meets the first rule that is for its operation and applies to it, and has that rule's
/// fault; where there is none, nothing goes wrong. So rules that apply once, which is the default,
/// are a sequence: the first request has the fault of the first, the second that of the second.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use http::StatusCode;
/// use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
/// use idpflare_management::{ApiRequest, CreateUser, Delivery, GetUserStats};
///
/// let fake = FakeIdpflare::new();
/// fake.set_faults(
///     FaultScript::new()
///         .rule(FaultRule::new(Fault::reply_lost()).operation(CreateUser::OPERATION))
///         .rule(FaultRule::new(Fault::status(StatusCode::BAD_GATEWAY)).times(2)),
/// );
/// let client = fake.client();
///
/// // A create is not repeated, and the error says that it may have been made: here it was.
/// let error = client.send(CreateUser::new("ada@example.com")).await.expect_err("a reset");
/// assert_eq!(error.delivery(), Delivery::Unknown);
///
/// // Reading is repeated, and succeeds at the third attempt.
/// assert_eq!(client.send(GetUserStats::new()).await?.total, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Files
///
/// [`from_json`](Self::from_json) reads a script from JSON, such as:
///
/// ```
/// # let json = r#"
/// {
///   "seed": 7,
///   "rules": [
///     {"operation": "createUser", "after": 1, "times": 2, "fault": {"kind": "reply_lost"}},
///     {"probability": 0.2, "any_of": [
///       {"kind": "edge_page", "status": 522},
///       {"kind": "status", "status": 503, "headers": {"retry-after": "1"}, "delay_ms": 20}
///     ]}
///   ]
/// }
/// # "#;
/// # idpflare_management::testing::FaultScript::from_json(json).expect("it is valid");
/// ```
///
/// A rule has either `fault` or `any_of`. A fault has a `kind` and may have `delay_ms` and
/// `after_performing` (true or false). Some kinds have members of their own:
///
/// | `kind` | members |
/// |---|---|
/// | `delay` | `delay_ms` is needed |
/// | `status` | `status`; may have `headers` (names and values) and `body` (text is sent as it is, anything else as JSON) |
/// | `edge_page` | may have `status`; the default is 502 |
/// | `too_many_requests` | may have `retry_after` in seconds, and `form`: `seconds` (the default), `http_date` or `rate_limit` |
/// | `reset_before_reply`, `reply_lost`, `reset_during_reply`, `truncated_body` | |
/// | `slow_body` | `pieces` and `interval_ms` |
/// | `oversized_body` | may have `bytes`; without, it never ends |
/// | `wrong_content_type`, `unknown_fields`, `unknown_values` | |
///
/// Any other member is refused.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a script does nothing until the fake is given it"]
pub struct FaultScript {
    rules: Vec<FaultRule>,
    seed: u64,
}

impl FaultScript {
    /// A script without rules: nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule behind the others.
    pub fn rule(mut self, rule: FaultRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Chooses the sequence that probabilities are drawn from: the same seed and the same order of
    /// requests give the same faults. The default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Reads a script from JSON, whose format is told [above](Self#files).
    ///
    /// ```
    /// use idpflare_management::testing::FaultScript;
    ///
    /// let error = FaultScript::from_json(r#"{"rules": [{"fault": {"kind": "lost"}}]}"#)
    ///     .expect_err("there is no such kind");
    /// assert!(error.to_string().starts_with("rules[0].fault.kind: unknown variant `lost`"));
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is not JSON, has a member that is not known or misses one, or a value makes no
    /// sense. The error names the place.
    pub fn from_json(json: &str) -> Result<Self, InvalidFaultScript> {
        file::parse(json)
    }
}

/// A script in use.
pub(in crate::testing) struct Playing {
    rules: Vec<FaultRule>,
    dice: Dice,
}

impl Playing {
    pub(in crate::testing) fn new(script: FaultScript) -> Self {
        Self {
            rules: script.rules,
            dice: Dice::new(script.seed),
        }
    }

    /// The fault that happens to the next request, which is of `operation`.
    pub(in crate::testing) fn next(&mut self, operation: &Operation) -> Option<Fault> {
        let dice = &mut self.dice;
        self.rules
            .iter_mut()
            .find_map(|rule| rule.next(operation, dice))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::FaultKind;
    use crate::{ApiRequest, CreateUser, GetUser};

    fn kinds(script: FaultScript, operations: &[&Operation]) -> Vec<Option<FaultKind>> {
        let mut playing = Playing::new(script);
        operations
            .iter()
            .map(|operation| Some(playing.next(operation)?.kind()))
            .collect()
    }

    #[test]
    fn rules_are_a_sequence_of_what_each_operation_meets() {
        let script = FaultScript::new()
            .rule(FaultRule::new(Fault::reply_lost()).operation(CreateUser::OPERATION))
            .rule(FaultRule::new(Fault::truncated_body()).after(1).times(2))
            .rule(FaultRule::new(Fault::unknown_fields()))
            .rule(FaultRule::any_of([]).probability(1.0));
        let (get, create) = (GetUser::OPERATION, CreateUser::OPERATION);
        assert_eq!(
            kinds(script, &[get, create, get, get, get, create]),
            [
                Some(FaultKind::UnknownFields),
                Some(FaultKind::ReplyLost),
                Some(FaultKind::TruncatedBody),
                Some(FaultKind::TruncatedBody),
                None,
                None,
            ]
        );
    }

    #[test]
    fn probabilities_are_kept_and_repeat_with_the_seed() {
        let rule = |probability| {
            FaultRule::any_of([Fault::reply_lost(), Fault::delay(Duration::ZERO)])
                .probability(probability)
        };
        let draw = |probability, seed| {
            let script = FaultScript::new().rule(rule(probability)).seed(seed);
            kinds(script, &[GetUser::OPERATION; 1000])
        };
        for (probability, expected) in [
            (0.0, 0..=0),
            (0.2, 150..=250),
            (1.0, 1000..=1000),
            (7.0, 1000..=1000),
            (-1.0, 0..=0),
            (f64::NAN, 0..=0),
        ] {
            let drawn = draw(probability, 7);
            let count = drawn.iter().flatten().count();
            assert!(expected.contains(&count), "{probability}: {count}");
        }
        assert_eq!(draw(0.2, 7), draw(0.2, 7));
        assert_ne!(draw(0.2, 7), draw(0.2, 8));
        let lost = draw(1.0, 7);
        let lost = lost
            .iter()
            .filter(|kind| **kind == Some(FaultKind::ReplyLost));
        assert!((400..=600).contains(&lost.count()));
    }
}
