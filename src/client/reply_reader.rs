use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use idpflare_layers::{
    BoxError, Call, CallLimit, CollectError, Delivery, Operation, RetryOverride, Safety, Timeout,
    collect, find_source, is_refusal,
};

use crate::{DecodeError, Error};

/// What is needed to read the reply of one call, apart from the client: the future of a
/// [`Service`](tower::Service) does not borrow it.
pub(crate) struct ReplyReader {
    operation: &'static Operation,
    pub(crate) call: Call,
    pub(crate) max_reply_bytes: usize,
    records_sends: bool,
    deadline: Option<Duration>,
    /// What this one call is limited to.
    limit: Option<Duration>,
    safety: Safety,
}

impl ReplyReader {
    pub(super) fn new<B>(
        operation: &'static Operation,
        http: &mut http::Request<B>,
        max_reply_bytes: usize,
        records_sends: bool,
        has_other_layers: bool,
        deadline: Option<Duration>,
    ) -> Self {
        let call = Call::of_or_insert(http);
        if has_other_layers {
            call.track_unsent(http);
        }
        if records_sends {
            call.announce_recorder();
        }
        Self {
            operation,
            call,
            max_reply_bytes,
            records_sends,
            deadline,
            limit: CallLimit::of(http).map(CallLimit::get),
            safety: RetryOverride::of(http).safety_or(operation.safety),
        }
    }

    /// From now on the call has its time, wherever in the stack that is enforced.
    pub(crate) fn starts(&self) -> Result<(), Timeout> {
        if let Some(limit) = self.deadline {
            self.call.limit_to(limit);
        }
        let Some(limit) = self.limit else {
            return Ok(());
        };
        self.call.limit_to(limit);
        // A layer that waits until the deadline lets through what is ready at once.
        if limit.is_zero() {
            return Err(self.call.expired());
        }
        Ok(())
    }

    /// Whether the deadline holds also where no layer knows of it: the caller has asked for it.
    pub(crate) fn enforces_deadline(&self) -> bool {
        self.limit.is_some()
    }

    /// The reply to what was sent, where that is a success, with all of its body.
    pub(super) async fn read<B, E>(
        &self,
        sent: impl Future<Output = Result<http::Response<B>, E>>,
    ) -> Result<http::Response<Bytes>, Error>
    where
        B: Body,
        B::Error: Into<BoxError>,
        E: Into<BoxError>,
    {
        let call = &self.call;
        let outcome = if self.enforces_deadline() {
            let mut sent = Box::pin(sent);
            match call.before_deadline(&mut sent).await {
                Ok(outcome) => outcome.map_err(Into::into),
                Err(timeout) => {
                    call.give_up(|| drop(sent));
                    Err(timeout.into())
                }
            }
        } else {
            sent.await.map_err(Into::into)
        };
        self.record(&outcome);
        let reply = outcome.map_err(|error| self.failed(error))?;
        let reply = call
            .before_deadline(collect(reply, self.max_reply_bytes, call.clone()))
            .await
            .map_err(|timeout| self.failed(timeout))?
            .map_err(|error| self.failed(error))?;
        self.check(reply)
    }

    /// The reply, where it is a success, of a service that has read all of its body.
    pub(crate) fn conclude(
        &self,
        outcome: Result<http::Response<Bytes>, BoxError>,
    ) -> Result<http::Response<Bytes>, Error> {
        self.record(&outcome);
        self.check(outcome.map_err(|error| self.failed(error))?)
    }

    /// Counts what was sent, where the service does not or should have. The future of the service has
    /// been dropped: a request that still exists is one that a layer runs in a task of its own.
    fn record<B>(&self, outcome: &Result<http::Response<B>, BoxError>) {
        if outcome.is_err() && self.call.unsent_requests() > 0 {
            self.call.record_unknown();
        }
        let refused = outcome.as_ref().is_err_and(|error| is_refusal(&**error));
        let answered = match outcome {
            Ok(_) => true,
            Err(error) => find_source::<CollectError>(&**error).is_some(),
        };
        // An answer comes of something that was sent, whoever should have recorded it.
        if self.call.attempts() == 0 && !refused && (answered || !self.records_sends) {
            self.call.record_send(match outcome {
                Ok(reply) => Delivery::of_status(reply.status()),
                Err(error) => Delivery::of_error(&**error),
            });
        }
    }

    fn check(&self, reply: http::Response<Bytes>) -> Result<http::Response<Bytes>, Error> {
        if reply.status().is_success() {
            return Ok(reply);
        }
        Err(Error::reply(self.operation, &self.call, reply).with_safety(self.safety))
    }

    /// What a successful reply comes to that does not hold what it should.
    pub(super) fn undecodable(&self, reply: http::Response<Bytes>, error: DecodeError) -> Error {
        Error::decode(self.operation, &self.call, reply, error).with_safety(self.safety)
    }

    pub(crate) fn failed(&self, error: impl Into<BoxError>) -> Error {
        Error::service(self.operation, &self.call, error).with_safety(self.safety)
    }
}
