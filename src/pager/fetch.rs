use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::listing::Reply;
use crate::client::ReplyReader;
use crate::{ApiRequest, Client, Error, HttpService};

/// One page on its way. The same as [`Client::execute`] does, as a type that has a name and is
/// `Send` where the service is.
pub(super) struct Fetch<S: HttpService> {
    /// How many rows are before the page.
    pub(super) offset: u64,
    /// Whether it was asked for before the page before it had arrived.
    pub(super) is_ahead: bool,
    state: State<S>,
}

/// A reply, and who read it.
pub(super) struct Fetched {
    pub(super) reply: Reply,
    pub(super) reader: ReplyReader,
}

type Future<S> = <<S as HttpService>::Collected as Service<Request<Full<Bytes>>>>::Future;

enum State<S: HttpService> {
    Readying(Box<Readying<S>>),
    Calling {
        future: Pin<Box<Future<S>>>,
        reader: ReplyReader,
        deadline: Option<Pin<Box<Sleep>>>,
    },
    Done(Result<Fetched, Error>),
    Taken,
}

/// Waits for the service.
struct Readying<S: HttpService> {
    service: S::Collected,
    request: Request<Full<Bytes>>,
    reader: ReplyReader,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S: HttpService> Fetch<S> {
    /// Begins; nothing is sent before it is polled.
    pub(super) fn new<R: ApiRequest>(
        client: &Client<S>,
        request: &R,
        offset: u64,
        is_ahead: bool,
    ) -> Self {
        let state = match client.prepare(request) {
            Err(error) => State::Done(Err(error)),
            Ok((request, reader)) => match reader.starts() {
                Err(timeout) => State::Done(Err(reader.failed(timeout))),
                Ok(()) => {
                    let deadline = reader.call.deadline();
                    let limit = reader.max_reply_bytes;
                    State::Readying(Box::new(Readying {
                        service: client.service().clone().collected(limit),
                        request,
                        reader,
                        deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
                    }))
                }
            },
        };
        Self {
            offset,
            is_ahead,
            state,
        }
    }

    /// Goes on as far as it can, and keeps the outcome until it is [taken](Self::take).
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Taken) {
                State::Readying(mut readying) => match readying.service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => readying.call(),
                    Poll::Ready(Err(error)) => State::Done(Err(readying.reader.failed(error))),
                    Poll::Pending if is_over(&mut readying.deadline, cx) => {
                        let timeout = readying.reader.call.expired();
                        State::Done(Err(readying.reader.failed(timeout)))
                    }
                    Poll::Pending => {
                        self.state = State::Readying(readying);
                        return;
                    }
                },
                State::Calling {
                    mut future,
                    reader,
                    mut deadline,
                } => match future.as_mut().poll(cx) {
                    Poll::Ready(outcome) => {
                        drop(future);
                        let outcome = outcome.map(|reply| reply.map(whole));
                        State::done(outcome, reader)
                    }
                    Poll::Pending if is_over(&mut deadline, cx) => {
                        reader.call.give_up(|| drop(future));
                        let timeout = reader.call.expired();
                        State::done(Err(timeout.into()), reader)
                    }
                    Poll::Pending => {
                        self.state = State::Calling {
                            future,
                            reader,
                            deadline,
                        };
                        return;
                    }
                },
                over @ (State::Done(_) | State::Taken) => {
                    self.state = over;
                    return;
                }
            };
        }
    }

    /// The outcome, once there is one.
    pub(super) fn take(&mut self) -> Option<Result<Fetched, Error>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Done(outcome) => Some(outcome),
            state => {
                self.state = state;
                None
            }
        }
    }
}

impl<S: HttpService> Readying<S> {
    fn call(self) -> State<S> {
        let Self {
            mut service,
            request,
            reader,
            deadline,
        } = self;
        State::Calling {
            future: Box::pin(service.call(request)),
            // Elsewhere a layer has it, or else nobody asked for it.
            deadline: deadline.filter(|_| reader.enforces_deadline()),
            reader,
        }
    }
}

impl<S: HttpService> State<S> {
    fn done(outcome: Result<Reply, BoxError>, reader: ReplyReader) -> Self {
        Self::Done(match reader.conclude(outcome) {
            Ok(reply) => Ok(Fetched { reply, reader }),
            Err(error) => Err(error),
        })
    }
}

/// Whether `deadline` has passed; if not, the task is woken when it does.
fn is_over(deadline: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> bool {
    deadline.as_mut().is_some_and(|sleep| {
        // A task that has used up its cooperative budget is told "pending" by every timer.
        sleep.deadline() <= Instant::now() || sleep.as_mut().poll(cx).is_ready()
    })
}

/// What a body holds that was collected before.
fn whole(mut body: Full<Bytes>) -> Bytes {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}
