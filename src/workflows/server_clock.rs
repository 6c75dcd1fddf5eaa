//! What time it is for the server, whose clock may differ from this machine's.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{BoxError, reply_date};
use tower::Service;

use super::patience::patient;
use crate::{ApiRequest, Client, Error, Timestamp};

/// A value, and when the server told it.
pub(super) struct Dated<T> {
    pub(super) value: T,
    /// The `Date` of the reply, in whole seconds, the rest dropped.
    pub(super) at: Option<Timestamp>,
}

pub(super) async fn send<S, B, R>(
    client: &Client<S>,
    request: R,
) -> Result<Dated<R::Response>, Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: ApiRequest,
{
    let reply = client.execute(patient(request)).await?;
    let at = date(reply.headers());
    let value = reply.into_body();
    Ok(Dated { value, at })
}

/// When a reply was made, where it says so.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    Timestamp::try_from(reply_date(headers)?).ok()
}

/// Whether something has not ended by itself yet. Where the server does not tell the time, it may not
/// have.
pub(super) fn may_last(ends_at: Timestamp, now: Option<Timestamp>) -> bool {
    now.is_none_or(|now| now < ends_at)
}
