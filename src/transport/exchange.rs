use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use idpflare_layers::{BoxError, Call, Connecting, Timeout, TransportError, find_source};

use super::body::Arriving;
use super::pool::{Lease, Pool, Server};
use super::tls;
use crate::ReplyBody;

/// How many connections in a row may turn out to have ended before a request was sent.
const MOST_RESENDS: u32 = 10;

/// Sends one request, and waits for the head of its reply.
pub(super) async fn exchange(
    pool: Arc<Pool>,
    server: Arc<Server>,
    mut request: Request<Full<Bytes>>,
    mut connecting: Option<Connecting>,
) -> Result<Response<ReplyBody>, BoxError> {
    let call = connecting.as_ref().map(Connecting::call).cloned();
    let mut resends = 0;
    loop {
        let lease = pool.lease(&server).await;
        if let Some(connecting) = connecting.take() {
            connecting.done();
        }
        let mut lease = lease.map_err(unconnected)?;
        match lease.send(&mut request, call.as_ref()).await {
            Ok(reply) => return Ok(arrived(reply, lease, call)),
            Err(mut error) => match error.take_message() {
                // The server has closed it meanwhile.
                Some(unsent) if lease.is_kept() && resends < MOST_RESENDS => {
                    lease.discard();
                    request = unsent;
                    resends += 1;
                }
                unsent => return Err(interrupted(error.into_error(), unsent.is_some())),
            },
        }
    }
}

fn arrived(reply: Response<Incoming>, lease: Lease, call: Option<Call>) -> Response<ReplyBody> {
    let lease = if reply.status() == StatusCode::MISDIRECTED_REQUEST {
        // What is sent again goes over another connection (RFC 9110, section 15.5.20).
        lease.discard();
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
        lease.finish();
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
fn interrupted(error: hyper::Error, is_unsent: bool) -> BoxError {
    let chain: &(dyn StdError + 'static) = &error;
    let is_untrusted = tls::is_untrusted(chain);
    let by_server = find_source::<h2::Error>(chain).filter(|error| error.is_remote());
    // hyper cancels a request that it has not begun to send, and closes the way to a connection that
    // ended before. A stream above the last one of a GOAWAY was not processed (RFC 9113, section
    // 6.8). The same is said of REFUSED_STREAM (section 8.7), but not kept by every proxy.
    let is_unsent = is_unsent
        || error.is_canceled()
        || error.is_closed()
        || by_server.is_some_and(h2::Error::is_go_away);
    let is_refused = by_server.is_some_and(|error| {
        error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    });
    let source = error.into();
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
