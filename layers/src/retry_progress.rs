use http::Method;

use crate::{
    AttemptOutcome, Call, Delivery, Operation, RetryBudget, RetryClass, RetryOverride, Safety,
    is_refusal,
};

/// How far the retries of one call have come.
#[derive(Debug)]
pub(crate) struct Progress {
    operation: Option<&'static Operation>,
    safety: Safety,
    /// Attempts begun here.
    own: u32,
    /// The limit of attempts that were not repeated after a 429.
    limit: u32,
    /// Attempts that were repeated after a 429.
    after_429: u32,
    /// What the call had counted when the attempt began that is under way.
    counted_before: u32,
    /// The [unsent requests](Call::unsent_requests) at the same time, that of the attempt included.
    unsent_before: u32,
    /// Whether that attempt was handed to the service below.
    handed_on: bool,
    /// Whether something else counts what is sent from here.
    is_counted: bool,
    tried_newer_credential: bool,
    tried_other_connection: bool,
    cost: u32,
    /// What was taken from the budget for an attempt that has not been handed on yet.
    reserved: u32,
}

impl Progress {
    pub(crate) fn new<B>(
        request: &http::Request<B>,
        own: RetryOverride,
        call: &Call,
        limit: u32,
    ) -> Self {
        let operation = Operation::of(request);
        let by_method = || safety_of_method(request.method());
        Self {
            operation,
            safety: own.safety_or_else(|| operation.map_or_else(by_method, |known| known.safety)),
            own: 0,
            limit,
            after_429: 0,
            counted_before: 0,
            unsent_before: 0,
            handed_on: false,
            is_counted: call.has_recorder() || call.has_open_send(),
            tried_newer_credential: false,
            tried_other_connection: false,
            cost: RetryBudget::SUCCESS,
            reserved: 0,
        }
    }

    pub(crate) fn operation(&self) -> Option<&'static Operation> {
        self.operation
    }

    pub(crate) fn safety(&self) -> Safety {
        self.safety
    }

    /// How many attempts there have been, be they made here or elsewhere.
    pub(crate) fn attempts(&self, call: &Call) -> u32 {
        self.own.max(call.attempts())
    }

    /// Whether there may be no attempt after those that were made, the last of which ended like this.
    pub(crate) fn has_spent(&self, call: &Call, class: RetryClass) -> bool {
        let attempts = self.attempts(call);
        let others = attempts.saturating_sub(self.after_429);
        call.attempt_limit().is_some_and(|limit| attempts >= limit)
            || (class != RetryClass::RateLimited && others >= self.limit)
    }

    /// An attempt begins, with the wait for readiness.
    pub(crate) fn begins(&mut self) {
        self.own = self.own.saturating_add(1);
        self.handed_on = false;
    }

    /// The service below is about to be called.
    pub(crate) fn hands_on(&mut self, call: &Call) {
        self.handed_on = true;
        self.reserved = 0;
        if self.own > 1 {
            call.set_interrupted_reply(None);
        }
        self.counted_before = call.attempts();
        self.unsent_before = call.unsent_requests();
    }

    /// Sees to it that the attempt, which is over, is in the call's account. Where no
    /// [`DeliveryLayer`](crate::DeliveryLayer) counts, somebody has to, and too many is the safe
    /// mistake.
    pub(crate) fn ends(&mut self, call: &Call, outcome: &AttemptOutcome<'_>) {
        if !self.handed_on || self.is_counted {
            return;
        }
        if call.attempts() != self.counted_before {
            self.is_counted = true;
            return;
        }
        // What a layer refused never came to a transport; what a transport could not send did.
        if !outcome.error().is_some_and(is_refusal) {
            call.count_send(outcome.delivery());
        }
    }

    /// The class of the outcome of the attempt that is over.
    pub(crate) fn class_of(&self, call: &Call, outcome: &AttemptOutcome<'_>) -> RetryClass {
        let class = RetryClass::of(outcome);
        if class != RetryClass::Final && self.is_detached(call) {
            return RetryClass::Transient;
        }
        match class {
            // A service that was not even ready has had nothing of the request.
            RetryClass::Transient if !self.handed_on => RetryClass::NotSent,
            // What has failed in any other way came from somewhere, be it counted or not.
            RetryClass::Transient if outcome.is_timeout() && self.sent_nothing(call) => {
                RetryClass::NotSent
            }
            class => class,
        }
    }

    /// Whether a request of the attempt, which is over, exists and may still be sent: a layer runs it
    /// in a task of its own.
    fn is_detached(&self, call: &Call) -> bool {
        self.handed_on && self.unsent_before > 0 && call.unsent_requests() >= self.unsent_before
    }

    /// Whether the attempt, which has run out of time, did so in a queue or while it was connecting.
    fn sent_nothing(&self, call: &Call) -> bool {
        if call.attempts() == self.counted_before {
            // Somebody must be there who would have counted it; not further out, though, where one
            // send stands for all attempts and is open until the last is over.
            return call.has_recorder() && !call.has_open_send();
        }
        call.delivery() == Delivery::NotSent
    }

    /// Whether `class` is one that is tried once only, and has been.
    pub(crate) fn has_tried(&self, class: RetryClass) -> bool {
        match class {
            RetryClass::NewerCredential => self.tried_newer_credential,
            RetryClass::Misdirected => self.tried_other_connection,
            _ => false,
        }
    }

    /// There will be another attempt, which took `cost` from the budget.
    pub(crate) fn goes_on(&mut self, class: RetryClass, cost: Option<u32>) {
        match class {
            RetryClass::NewerCredential => self.tried_newer_credential = true,
            RetryClass::Misdirected => self.tried_other_connection = true,
            RetryClass::RateLimited => self.after_429 = self.after_429.saturating_add(1),
            _ => {}
        }
        self.cost = cost.unwrap_or(self.cost);
        self.reserved = cost.unwrap_or_default();
    }

    /// What was taken for an attempt that was not made.
    pub(crate) fn take_reserved(&mut self) -> u32 {
        std::mem::take(&mut self.reserved)
    }

    /// What a success gives to the budget.
    pub(crate) fn take_cost(&mut self) -> u32 {
        std::mem::take(&mut self.cost)
    }
}

/// What RFC 9110, section 9.2, says of the method; of an unknown one nothing is known.
fn safety_of_method(method: &Method) -> Safety {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Safety::ReadOnly,
        Method::PUT | Method::DELETE => Safety::Idempotent,
        _ => Safety::Once,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_decides_where_nothing_else_does() {
        for (method, safety) in [
            ("GET", Safety::ReadOnly),
            ("HEAD", Safety::ReadOnly),
            ("OPTIONS", Safety::ReadOnly),
            ("TRACE", Safety::ReadOnly),
            ("PUT", Safety::Idempotent),
            ("DELETE", Safety::Idempotent),
            ("POST", Safety::Once),
            ("PATCH", Safety::Once),
            ("CONNECT", Safety::Once),
            ("get", Safety::Once),
            ("PURGE", Safety::Once),
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(safety_of_method(&method), safety, "{method}");
        }
    }

    #[tokio::test]
    async fn an_override_beats_the_operation_which_beats_the_method() {
        const BLOCK: &Operation =
            &Operation::new("block", Method::POST, "/block", Safety::Idempotent);
        let mut request = http::Request::post("/block").body(()).expect("a request");
        let call = Call::new();
        let safety = |request: &http::Request<()>| {
            Progress::new(request, RetryOverride::of(request), &call, 3).safety()
        };
        assert_eq!(safety(&request), Safety::Once);
        request.extensions_mut().insert(BLOCK);
        assert_eq!(safety(&request), Safety::Idempotent);
        let own = RetryOverride::new().safety(Safety::ReadOnly);
        request.extensions_mut().insert(own);
        assert_eq!(safety(&request), Safety::ReadOnly);
    }
}
