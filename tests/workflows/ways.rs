//! The ways in which a request can fail.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::Operation;
use idpflare_management::testing::{Fault, FaultRule, FaultScript, RetryAfter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done after all, where a repeat is safe.
    Passes,
    /// Known not to be done.
    Refused,
    /// It may have been done.
    Unclear,
}

pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
    fault: Fault,
    times: u64,
}

impl Way {
    /// The requests of `operation` but for the first ones fail in this way.
    pub(crate) fn script(&self, operation: &'static Operation, after: u64) -> FaultScript {
        FaultScript::new().rule(self.rule(operation, after))
    }

    pub(crate) fn rule(&self, operation: &'static Operation, after: u64) -> FaultRule {
        FaultRule::new(self.fault.clone())
            .operation(operation)
            .after(after)
            .times(self.times)
    }
}

pub(crate) fn all() -> Vec<Way> {
    use Verdict::{Passes, Refused, Unclear};

    const ALWAYS: u64 = u64::MAX;
    let too_long = Duration::from_secs(3600);
    let broken = || Fault::status(StatusCode::INTERNAL_SERVER_ERROR);
    let unavailable = || Fault::status(StatusCode::SERVICE_UNAVAILABLE);
    let edge_page = || Fault::edge_page(StatusCode::BAD_GATEWAY);
    let ways = [
        ("500", Unclear, broken(), ALWAYS),
        (
            "500 when done",
            Unclear,
            broken().after_performing(),
            ALWAYS,
        ),
        ("503", Unclear, unavailable(), ALWAYS),
        (
            "503 when done",
            Unclear,
            unavailable().after_performing(),
            ALWAYS,
        ),
        (
            "502 page when done",
            Unclear,
            edge_page().after_performing(),
            ALWAYS,
        ),
        (
            "429",
            Refused,
            Fault::too_many_requests(RetryAfter::Seconds(120)),
            ALWAYS,
        ),
        ("reset", Unclear, Fault::reset_before_reply(), ALWAYS),
        ("reply lost", Unclear, Fault::reply_lost(), ALWAYS),
        ("reply lost once", Passes, Fault::reply_lost(), 1),
        ("truncated", Unclear, Fault::truncated_body(), ALWAYS),
        ("403", Refused, Fault::status(StatusCode::FORBIDDEN), ALWAYS),
        ("404", Refused, Fault::status(StatusCode::NOT_FOUND), ALWAYS),
        ("timeout", Unclear, Fault::delay(too_long), ALWAYS),
        (
            "timeout when done",
            Unclear,
            Fault::delay(too_long).after_performing(),
            ALWAYS,
        ),
    ];
    ways.into_iter()
        .map(|(name, verdict, fault, times)| Way {
            name,
            verdict,
            fault,
            times,
        })
        .collect()
}

/// No answer for longer than anybody waits.
pub(crate) fn hang(after_performing: bool) -> Way {
    named(if after_performing {
        "timeout when done"
    } else {
        "timeout"
    })
}

/// The one of [`all`] with this name.
pub(crate) fn named(name: &str) -> Way {
    let found = all().into_iter().find(|way| way.name == name);
    found.expect("one of all")
}
