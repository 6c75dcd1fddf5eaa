//! The service that a layer is put around to be checked.

use std::error::Error;
use std::fmt;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;

use super::ContractViolation;
use crate::User;
use crate::layers::{Call, Delivery};
use crate::testing::{EncodeReply, Fixture};

/// What the probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Replies,
    NeverReady,
    FailsReadiness,
    FailsInCall,
    HangsInCall,
    HangsInBody,
}

/// An extension, of requests and of replies, that nobody but the check knows.
#[derive(Clone)]
pub(super) struct Marker;

/// What the probe fails with.
#[derive(Debug)]
pub(super) struct ProbeError;

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service below failed, as it was told to")
    }
}

impl Error for ProbeError {}

/// A service with a limited number of permits. Being ready takes one, which the call, and then the
/// body of its reply, hold until they are dropped.
#[derive(Clone)]
pub(super) struct Probe(Arc<Mutex<State>>);

struct State {
    behaviour: Behaviour,
    permits: usize,
    waiting: Vec<Waker>,
    was_called_unready: bool,
    received: Option<Extensions>,
}

impl Probe {
    pub(super) fn new(permits: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            behaviour: Behaviour::Replies,
            permits,
            waiting: Vec::new(),
            was_called_unready: false,
            received: None,
        })))
    }

    pub(super) fn service(&self) -> ProbeService {
        ProbeService {
            probe: self.clone(),
            permit: None,
        }
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        let mut state = self.state();
        state.behaviour = behaviour;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it has been called as it should be.
    pub(super) fn verdict(&self) -> Result<(), ContractViolation> {
        match self.state().was_called_unready {
            true => Err(ContractViolation::CalledUnready),
            false => Ok(()),
        }
    }

    /// The extensions of the last request.
    pub(super) fn received(&self) -> Option<Extensions> {
        self.state().received.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Permit(Probe);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.permits += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

pub(super) struct ProbeService {
    probe: Probe,
    permit: Option<Permit>,
}

impl Clone for ProbeService {
    /// A clone is not ready.
    fn clone(&self) -> Self {
        self.probe.service()
    }
}

impl Service<Request<Full<Bytes>>> for ProbeService {
    type Response = Response<ProbeBody>;
    type Error = ProbeError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ProbeError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProbeError>> {
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.probe.state();
        match state.behaviour {
            Behaviour::FailsReadiness => return Poll::Ready(Err(ProbeError)),
            Behaviour::NeverReady => {}
            _ if state.permits > 0 => {
                state.permits -= 1;
                drop(state);
                self.permit = Some(Permit(self.probe.clone()));
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let mut state = self.probe.state();
        let Some(permit) = self.permit.take() else {
            state.was_called_unready = true;
            return Box::pin(ready(Err(ProbeError)));
        };
        if let Some(call) = Call::of(&request) {
            call.record_send(Delivery::Answered);
        }
        state.received = Some(request.extensions().clone());
        let behaviour = state.behaviour;
        drop(state);
        Box::pin(async move {
            let _request = request;
            match behaviour {
                Behaviour::HangsInCall => pending().await,
                Behaviour::FailsInCall => Err(ProbeError),
                _ => Ok(reply(permit, behaviour == Behaviour::HangsInBody)),
            }
        })
    }
}

fn reply(permit: Permit, hangs: bool) -> Response<ProbeBody> {
    let mut reply = User::fixture().encode().into_response();
    reply.extensions_mut().insert(Marker);
    reply.map(|body| ProbeBody {
        body: Full::new(body),
        hangs,
        _permit: permit,
    })
}

pub(super) struct ProbeBody {
    body: Full<Bytes>,
    hangs: bool,
    _permit: Permit,
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = ProbeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProbeError>>> {
        if self.hangs {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_err(|never| match never {})
    }
}
