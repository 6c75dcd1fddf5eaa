use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{BoxError, Collect, CollectLayer};
use tower::{Layer, Service};

/// What a [`Client`](crate::Client) sends through: any service that takes HTTP requests with a
/// [`Full`] body, whatever the replies' bodies and its errors are.
///
/// It is implemented for every service that [`Client::send`](crate::Client::send) takes; there is
/// nothing to implement by hand.
pub trait HttpService: Clone {
    /// The same service, with bodies read and errors boxed.
    type Collected: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = BoxError>;

    /// Has it read bodies of at most `limit` bytes.
    fn collected(self, limit: usize) -> Self::Collected;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Collected = Collect<S>;

    fn collected(self, limit: usize) -> Collect<S> {
        CollectLayer::new(limit).layer(self)
    }
}
