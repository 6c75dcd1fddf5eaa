use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use idpflare_layers::{
    BoxError, Call, Connecting, Operation, RetryOverride, Safety, Timeout, TransportError,
    find_source,
};

use super::body::Arriving;
use super::destination::Unsendable;
use super::pool::{Lease, Pool};
use super::tls;
use crate::ReplyBody;

/// Sends one request, and waits for the head of its reply.
///
/// A request that was not sent, because its connection ended, is sent over another one at once, where
/// its connection has answered others: it ended as connections do. So is one that may be repeated, where
/// its connection dropped it and does not say more. There is no limit but the call's time, since each
/// repeat takes another reply of the server. Otherwise it is for layers to repeat it, with their waits
/// and budgets.
pub(super) async fn exchange(
    pool: Arc<Pool>,
    mut request: Request<Full<Bytes>>,
    mut connecting: Option<Connecting>,
) -> Result<Response<ReplyBody>, BoxError> {
    let server = Unsendable::check(&request).and_then(|()| pool.server(request.uri()));
    let server = match server {
        Ok(server) => server,
        Err(error) => return Err(typed(TransportError::not_sent(error.into()), true)),
    };
    let safety = Operation::of(&request).map_or(Safety::Once, |operation| operation.safety);
    let is_once = RetryOverride::of(&request).safety_or(safety) == Safety::Once;
    let call = connecting.as_ref().map(Connecting::call).cloned();
    // A send that may have arrived, though the request was sent again.
    let mut lost = None;
    loop {
        let lease = pool.lease(&server).await;
        connecting.iter_mut().for_each(Connecting::done);
        let mut lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                return Err(
                    lost.map_or_else(|| unconnected(error), |lost| interrupted(lost, false))
                );
            }
        };
        let failed = match lease.send(&mut request, is_once, call.as_ref()).await {
            Ok(reply) => return Ok(arrived(reply, lease, call)),
            Err(failed) => failed,
        };
        let is_unsent = failed.is_unsent && lost.is_none();
        if let Some(again) = failed.again {
            request = again;
            if is_unsent {
                connecting.iter_mut().for_each(Connecting::again);
            }
            if Box::pin(pool.has_served(lease)).await {
                if !failed.is_unsent {
                    lost = Some(failed.error);
                }
                continue;
            }
            connecting.iter_mut().for_each(Connecting::done);
        }
        return Err(interrupted(failed.error, is_unsent));
    }
}

fn arrived(reply: Response<Incoming>, lease: Lease, call: Option<Call>) -> Response<ReplyBody> {
    let lease = if reply.status() == StatusCode::MISDIRECTED_REQUEST {
        // What is sent again goes over another connection (RFC 9110, section 15.5.20).
        drop(lease.discard());
        None
    } else {
        Some(lease)
    };
    let (head, mut body) = reply.into_parts();
    // A short one has arrived along with its head, and then it needs nobody who looks after it. Whoever
    // reads the others says whom to wake.
    let mut context = Context::from_waker(Waker::noop());
    let begin = Pin::new(&mut body).poll_frame(&mut context);
    let body = match begin {
        Poll::Ready(None) => ReplyBody::default(),
        Poll::Ready(Some(Ok(frame))) if frame.is_data() && body.is_end_stream() => {
            frame.into_data().map(ReplyBody::from).unwrap_or_default()
        }
        begin => {
            let body = Arriving::new(begin, body, lease, call);
            return Response::from_parts(head, ReplyBody::streamed(body));
        }
    };
    if let Some(lease) = lease {
        lease.finish(true);
    }
    Response::from_parts(head, body)
}

/// What is known where there was no connection.
fn unconnected(error: BoxError) -> BoxError {
    if find_source::<Timeout>(&*error).is_some() {
        return error;
    }
    let is_untrusted = tls::is_untrusted(&*error);
    typed(TransportError::connect(error), is_untrusted)
}

/// What is known of how far a request came.
fn interrupted(source: BoxError, is_unsent: bool) -> BoxError {
    let chain: &(dyn StdError + 'static) = &*source;
    let is_untrusted = tls::is_untrusted(chain);
    let is_refused = find_source::<h2::Error>(chain).is_some_and(|error| {
        let refused = Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && error.is_reset() && error.reason() == refused
    });
    let error = if is_unsent {
        TransportError::not_sent(source)
    } else if is_refused {
        TransportError::refused_stream(source)
    } else {
        TransportError::lost(source)
    };
    typed(error, is_untrusted)
}

fn typed(error: TransportError, is_permanent: bool) -> BoxError {
    Box::new(if is_permanent {
        error.permanent()
    } else {
        error
    })
}
