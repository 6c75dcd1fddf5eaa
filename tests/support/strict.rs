//! A transport that insists on Tower's contract, and plays a script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::{ApiKey, BoxError};
use idpflare_management::{KeyHandle, ReplyBody};
use tower::Service;

pub(crate) const OLD_KEY: &str = "idk_old_secret";
pub(crate) const NEW_KEY: &str = "idk_new_secret";

/// What the server does with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Answer(u16),
    /// 429, asking for a wait of so many seconds.
    TooMany(u64),
    Hang,
    /// 200, and then nothing more.
    HangInBody,
    /// 401, after the key was rotated behind the client's back.
    RotateAndRefuse,
}

/// A transport that plays a script, and panics where it is called without having said that it is
/// ready, or by a clone of the one that was asked. Each clone takes its time to be ready.
pub(crate) struct Strict {
    script: Arc<Mutex<Script>>,
    asked: bool,
    is_ready: bool,
}

struct Script {
    acts: VecDeque<Act>,
    key: KeyHandle,
    sends: u32,
}

impl Strict {
    /// Plays `acts`, and then answers with 204.
    pub(crate) fn new(acts: &[Act], key: &KeyHandle) -> Self {
        Self {
            script: Arc::new(Mutex::new(Script {
                acts: acts.iter().copied().collect(),
                key: key.clone(),
                sends: 0,
            })),
            asked: false,
            is_ready: false,
        }
    }

    pub(crate) fn sends(&self) -> u32 {
        self.script.lock().expect("not poisoned").sends
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            asked: false,
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called unready");
        let mut script = self.script.lock().expect("not poisoned");
        script.sends += 1;
        assert!(request.headers().contains_key("authorization"));
        let act = script.acts.pop_front().unwrap_or(Act::Answer(204));
        let mut reply = Response::new(ReplyBody::default());
        match act {
            Act::Hang => return Box::pin(std::future::pending()),
            Act::HangInBody => *reply.body_mut() = ReplyBody::streamed(super::Pending),
            Act::Answer(status) => {
                *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
            }
            Act::TooMany(wait) => {
                *reply.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                reply
                    .headers_mut()
                    .insert("retry-after", HeaderValue::from(wait));
            }
            Act::RotateAndRefuse => {
                script.key.rotate(ApiKey::new(NEW_KEY).expect("a key"));
                *reply.status_mut() = StatusCode::UNAUTHORIZED;
            }
        }
        Box::pin(std::future::ready(Ok(reply)))
    }
}
