//! What a client makes of each kind.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::testing::{Fault, FaultKind, RetryAfter};
use idpflare_management::{Delivery, ErrorKind};

const NEVER: Duration = Duration::from_secs(3600);

/// What a client that does not repeat anything makes of a fault in `createUser`.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    pub(crate) kind: FaultKind,
    /// Kind, status and delivery of the error; `None` where there is none.
    pub(crate) error: Option<(ErrorKind, Option<u16>, Delivery)>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) performed: bool,
    /// Whether the client gives up early.
    pub(crate) impatient: bool,
}

fn fails(fault: Fault, kind: FaultKind, error: (ErrorKind, Option<u16>, Delivery)) -> Row {
    Row {
        fault,
        kind,
        error: Some(error),
        retry_after: None,
        performed: false,
        impatient: false,
    }
}

fn succeeds(fault: Fault, kind: FaultKind) -> Row {
    Row {
        error: None,
        ..fails(fault, kind, (ErrorKind::Api, None, Delivery::Answered)).performed()
    }
}

impl Row {
    fn performed(self) -> Self {
        Self {
            performed: true,
            ..self
        }
    }

    fn impatient(self) -> Self {
        Self {
            impatient: true,
            ..self
        }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status")
}

pub(crate) fn table(unit: Duration) -> Vec<Row> {
    use Delivery::{Answered, Unknown};
    use ErrorKind::{Api, Redirect, Timeout, TooLarge, Transport, Truncated};

    let mut rows = Vec::new();
    for (code, kind, delivery) in [
        (302, Redirect, Answered),
        (400, Api, Answered),
        (408, Api, Unknown),
        (500, Api, Unknown),
        (503, Api, Unknown),
        (599, Api, Unknown),
    ] {
        let fault = Fault::status(status(code));
        let error = (kind, Some(code), delivery);
        rows.push(fails(fault.clone(), FaultKind::Status, error));
        rows.push(fails(fault.after_performing(), FaultKind::Status, error).performed());
    }
    for code in [502, 520, 521, 522, 523, 524, 525, 526, 527] {
        let error = (Api, Some(code), Unknown);
        rows.push(fails(
            Fault::edge_page(status(code)),
            FaultKind::EdgePage,
            error,
        ));
    }
    let too_many = |retry_after| {
        let fault = Fault::too_many_requests(retry_after);
        fails(
            fault,
            FaultKind::TooManyRequests,
            (Api, Some(429), Answered),
        )
    };
    rows.extend([
        too_many(RetryAfter::Absent),
        too_many(RetryAfter::Seconds(7)).retry_after(7),
        too_many(RetryAfter::HttpDate(7)).retry_after(7),
        too_many(RetryAfter::RateLimit(7)),
    ]);
    let lost = (Transport, None, Unknown);
    let broken = (Truncated, Some(201), Answered);
    let endless = Fault::oversized_body(u64::MAX);
    let late = (Timeout, None, Unknown);
    rows.extend([
        fails(
            Fault::reset_before_reply(),
            FaultKind::ResetBeforeReply,
            lost,
        ),
        fails(
            Fault::reset_before_reply().delayed(unit),
            FaultKind::ResetBeforeReply,
            lost,
        ),
        fails(Fault::reply_lost(), FaultKind::ReplyLost, lost).performed(),
        fails(
            Fault::reply_lost().delayed(unit),
            FaultKind::ReplyLost,
            lost,
        )
        .performed(),
        fails(
            Fault::reset_during_reply(),
            FaultKind::ResetDuringReply,
            broken,
        )
        .performed(),
        fails(Fault::truncated_body(), FaultKind::TruncatedBody, broken).performed(),
        fails(
            endless,
            FaultKind::OversizedBody,
            (TooLarge, Some(201), Answered),
        )
        .performed(),
        succeeds(Fault::oversized_body(20_000), FaultKind::OversizedBody),
        succeeds(Fault::slow_body(3, unit), FaultKind::SlowBody),
        fails(
            Fault::slow_body(u32::MAX, NEVER),
            FaultKind::SlowBody,
            (Timeout, Some(201), Answered),
        )
        .performed()
        .impatient(),
        succeeds(Fault::delay(unit), FaultKind::Delay),
        succeeds(Fault::delay(unit).after_performing(), FaultKind::Delay),
        fails(Fault::delay(NEVER), FaultKind::Delay, late).impatient(),
        fails(
            Fault::delay(NEVER).after_performing(),
            FaultKind::Delay,
            late,
        )
        .performed()
        .impatient(),
        succeeds(Fault::wrong_content_type(), FaultKind::WrongContentType),
        succeeds(Fault::unknown_fields(), FaultKind::UnknownFields),
        succeeds(Fault::unknown_values(), FaultKind::UnknownValues),
    ]);
    rows
}
