mod http_service;
mod reply_reader;

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{BoxError, Call};
use tower::{Service, ServiceExt};

use crate::stack::BoxService;
use crate::{ApiRequest, Authority, Error};

pub use http_service::HttpService;
pub(crate) use reply_reader::ReplyReader;

/// The size of replies that a client takes unless told otherwise: 16 MiB.
pub(crate) const DEFAULT_MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// Sends operations to one IDPFlare instance.
///
/// It is cheap to clone, and all clones share connections and key. Make one with
/// [`builder`](Client::builder) or [`from_env`](Client::from_env), which give it the standard stack
/// of layers, or around any Tower service with [`from_service`](Client::from_service): a stack of
/// your own, or a mock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use idpflare_management::testing::FakeIdpflare;
/// use idpflare_management::{Client, CreateUser, GetUser};
///
/// let fake = FakeIdpflare::new();
/// let client = Client::builder("https://idp.example.com")
///     .api_key(fake.api_key())
///     .build_with(fake.service())?;
///
/// let ada = client.send(CreateUser::new("ada@example.com")).await?;
/// assert_eq!(client.send(GetUser::new(&ada.id)).await?, ada);
/// # Ok(())
/// # }
/// ```
///
/// It is also a [`Service`] of every operation, so that whole typed calls can go through layers.
/// Use [`oneshot`](ServiceExt::oneshot): a bare `ready().await` does not say which operation it is
/// for.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let client = idpflare_management::testing::FakeIdpflare::new().client();
/// use idpflare_management::{GetUserStats, UserStats};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let total = ServiceBuilder::new()
///     .map_response(|stats: UserStats| stats.total)
///     .service(client)
///     .oneshot(GetUserStats::new())
///     .await?;
/// assert_eq!(total, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client<S = BoxService> {
    service: S,
    authority: Authority,
    max_reply_bytes: usize,
    /// Whether the service records what it sends in the [`Call`].
    records_sends: bool,
    /// Whether there may be layers that are not those of the standard stack.
    has_other_layers: bool,
    /// What each call is limited to from its start.
    deadline: Option<Duration>,
}

impl<S> Client<S> {
    /// A client that sends through `service`, which does all but encoding and decoding: also
    /// authentication, limits of time, and connections.
    ///
    /// Requests have absolute URIs, and `&'static` [`Operation`](crate::Operation) and [`Call`]
    /// among their extensions. A reply body that `service` has not read is read by the client, up
    /// to 16 MiB and the call's deadline.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use idpflare_management::layers::BoxError;
    /// use idpflare_management::{Client, GetUserStats};
    ///
    /// let mock = tower::service_fn(async |request: http::Request<Full<Bytes>>| {
    ///     assert_eq!(request.uri(), "https://idp.example.com/api/v1/stats/users");
    ///     let body = r#"{"total":2,"active":1,"verified":1,"mfa_enabled":0}"#;
    ///     Ok::<_, BoxError>(http::Response::new(Full::new(Bytes::from(body))))
    /// });
    /// let client = Client::from_service("https://idp.example.com", mock)?;
    /// assert_eq!(client.send(GetUserStats::new()).await?.total, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Where `service` has a [`DeliveryLayer`](idpflare_layers::DeliveryLayer) around its
    /// transport, say so with [`records_sends`](Self::records_sends).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where the authority is not
    /// one; see [`Authority`].
    pub fn from_service<A>(authority: A, service: S) -> Result<Self, Error>
    where
        A: TryInto<Authority>,
        A::Error: Into<Error>,
    {
        Ok(Self {
            service,
            authority: authority.try_into().map_err(Into::into)?,
            max_reply_bytes: DEFAULT_MAX_REPLY_BYTES,
            records_sends: false,
            has_other_layers: true,
            deadline: None,
        })
    }

    /// How large a reply may be, in bytes, that the service has not read itself.
    #[must_use]
    pub fn max_reply_bytes(mut self, limit: usize) -> Self {
        self.max_reply_bytes = limit;
        self
    }

    /// Whether the service has a [`DeliveryLayer`](idpflare_layers::DeliveryLayer) around its
    /// transport. If so, a call that fails with nothing recorded is known to be
    /// [`NotSent`](crate::Delivery::NotSent), such as one that was queued until its deadline. If not, which
    /// is what [`from_service`](Self::from_service) takes for granted, each failed call counts as
    /// one attempt.
    #[must_use]
    pub fn records_sends(mut self, records: bool) -> Self {
        self.records_sends = records;
        self
    }

    /// The same client with `wrap` around its service: for layers outside of all others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// # let client = idpflare_management::testing::FakeIdpflare::new().client();
    /// use idpflare_management::GetUserStats;
    /// use tower::limit::ConcurrencyLimit;
    ///
    /// let client = client.map_service(|service| ConcurrencyLimit::new(service, 8));
    /// client.send(GetUserStats::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_service<T>(self, wrap: impl FnOnce(S) -> T) -> Client<T> {
        Client {
            service: wrap(self.service),
            authority: self.authority,
            max_reply_bytes: self.max_reply_bytes,
            records_sends: self.records_sends,
            has_other_layers: true,
            deadline: self.deadline,
        }
    }

    /// The instance that operations are sent to.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Client<BoxService> {
    /// A client around a service that records what it sends.
    pub(crate) fn recording(
        authority: Authority,
        service: BoxService,
        max_reply_bytes: usize,
        has_other_layers: bool,
        deadline: Option<Duration>,
    ) -> Self {
        Self {
            service,
            authority,
            max_reply_bytes,
            records_sends: true,
            has_other_layers,
            deadline,
        }
    }
}

impl<S, B> Client<S>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Performs an operation and returns its value.
    ///
    /// The future does not borrow the client, so it can be spawned. Nothing is sent before it is
    /// polled.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub fn send<R: ApiRequest>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<R::Response, Error>> + use<S, B, R> {
        self.perform(request, |_, value| value)
    }

    /// Performs an operation and returns its value with the reply's status, headers and extensions.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind).
    pub fn execute<R: ApiRequest>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<http::Response<R::Response>, Error>> + use<S, B, R> {
        self.perform(request, |reply, value| reply.map(|_| value))
    }

    /// In one future: each that is wrapped in another is moved and kept twice.
    fn perform<R: ApiRequest, T>(
        &self,
        request: R,
        finish: fn(http::Response<Bytes>, R::Response) -> T,
    ) -> impl Future<Output = Result<T, Error>> + use<S, B, R, T> {
        let mut service = self.service.clone();
        // Here, so that a password in the request is not kept for as long as the call takes.
        let prepared = self.prepare(&request);
        drop(request);
        let (http, reader) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Either::Left(ready(Err(error))),
        };
        Either::Right(async move {
            reader.starts().map_err(|timeout| reader.failed(timeout))?;
            // Apart from the call, because what is not ready has sent nothing.
            let ready = reader.call.before_deadline(service.ready()).await;
            ready
                .map_err(|timeout| reader.failed(timeout))?
                .map_err(|error| reader.failed(error))?;
            let reply = reader.read(service.call(http)).await?;
            match R::decode(&reply) {
                Ok(value) => Ok(finish(reply, value)),
                Err(error) => Err(reader.undecodable(reply, error)),
            }
        })
    }
}

impl<S, B> Client<S>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// The same client with the type of its service erased: what code takes that is written for a
    /// plain `Client`, also from a test.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use idpflare_management::layers::BoxError;
    /// use idpflare_management::Client;
    ///
    /// fn app(client: Client) -> Router {
    ///     Router::new().route("/", get(async || "hello")).with_state(client)
    /// }
    ///
    /// # fn main() -> Result<(), idpflare_management::Error> {
    /// let mock = tower::service_fn(async |_: http::Request<Full<Bytes>>| {
    ///     Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    /// });
    /// let app = app(Client::from_service("https://idp.example.com", mock)?.boxed());
    /// # Ok(())
    /// # }
    /// ```
    pub fn boxed(self) -> Client {
        self.map_service(BoxService::new)
    }
}

impl<S> Client<S> {
    pub(crate) fn prepare<R: ApiRequest>(
        &self,
        request: &R,
    ) -> Result<(http::Request<Full<Bytes>>, ReplyReader), Error> {
        let mut http = request.to_http(&self.authority)?;
        let reader = ReplyReader::new(
            R::OPERATION,
            &mut http,
            self.max_reply_bytes,
            self.records_sends,
            self.has_other_layers,
            self.deadline,
        );
        Ok((http, reader))
    }

    pub(crate) fn service(&self) -> &S {
        &self.service
    }
}

impl<S, B, R> Service<R> for Client<S>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>>,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
    R: ApiRequest,
    R::Response: Send + 'static,
{
    type Response = R::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<R::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service
            .poll_ready(cx)
            .map_err(|error| Error::service(R::OPERATION, &Call::new(), error))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (http, reader) = match self.prepare(&request) {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let Err(timeout) = reader.starts() {
            return Box::pin(std::future::ready(Err(reader.failed(timeout))));
        }
        let sent = self.service.call(http);
        Box::pin(async move {
            let reply = reader.read(sent).await?;
            R::decode(&reply).map_err(|error| reader.undecodable(reply, error))
        })
    }
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}
