use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request};
use idpflare_layers::{CallLimit, Operation, RetryOverride, Safety};

use super::reserved;
use crate::one_line::one_line;
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, Error};

/// How one request is sent in another way than the client's others: see
/// [`ApiRequest::with`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// # fake.seed(1);
/// # let client = fake.client();
/// use std::time::Duration;
///
/// use idpflare_management::{ApiRequest, CallOptions, ListUsers};
///
/// let hurried = CallOptions::new()
///     .deadline(Duration::from_secs(2))
///     .attempts(1)
///     .header("x-request-id", "4f1c")?;
/// let page = client.send(ListUsers::new().limit(1).with(hurried)).await?;
/// assert_eq!(page.total, 1);
/// # Ok(())
/// # }
/// ```
///
/// They are put into the [`http::Request`], so they do their work in any stack: the headers as they
/// are, all else among the extensions, as a [`CallLimit`], a [`RetryOverride`] and whatever you put
/// there.
///
/// `Debug` shows no values of headers.
#[derive(Clone, Default)]
#[must_use = "options do nothing until a request has them"]
pub struct CallOptions {
    deadline: Option<Duration>,
    attempts: Option<u32>,
    attempts_after_429: Option<u32>,
    safety: Option<Safety>,
    headers: HeaderMap,
    extensions: Extensions,
}

impl CallOptions {
    /// Nothing that differs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the call at most `limit` from its start, the reply's body included. The client's own
    /// deadline holds as well: it can only be shortened. Where nothing is left, nothing is sent.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// Lets there be at most so many attempts, the first one included, be that more or fewer than
    /// the client makes otherwise. Zero counts as one. It is for the
    /// [`RetryLayer`](idpflare_layers::RetryLayer): a client without one makes one attempt.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Lets attempts that are answered with 429 not count against the limit of attempts, up to so many
    /// attempts in all. It is for work that would rather wait than fail; the deadline holds as well. It
    /// changes nothing if the limit is one attempt.
    pub fn attempts_after_429(mut self, attempts: u32) -> Self {
        self.attempts_after_429 = Some(attempts);
        self
    }

    /// Says what a repeat of this request does, whatever is known of its operation:
    /// [`Safety::Once`] has it sent again only where the first was surely not acted on,
    /// [`Safety::Idempotent`] allows repeats that the server will recognise.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
    /// use idpflare_management::{ApiRequest, BlockUser, CallOptions, CreateUser, Safety};
    ///
    /// let fake = FakeIdpflare::new();
    /// let client = fake.client();
    /// let ada = client.send(CreateUser::new("ada@example.com")).await?;
    ///
    /// // A second entry in the audit log is worse than not to know.
    /// fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::reply_lost())));
    /// let once = CallOptions::new().safety(Safety::Once);
    /// let error = client.send(BlockUser::new(&ada.id).with(once)).await.expect_err("lost");
    /// assert_eq!(error.attempts(), 1);
    /// assert!(!error.is_retryable());
    /// # Ok(())
    /// # }
    /// ```
    pub fn safety(mut self, safety: Safety) -> Self {
        self.safety = Some(safety);
        self
    }

    /// Sends a header, in place of one with this name that the client sends by itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) where that is no header, and where it is not
    /// the caller's to set: `Authorization`, `Host`, what describes the body (`Content-Type`,
    /// `Content-Encoding`), and what belongs to the connection (`Content-Length`,
    /// `Transfer-Encoding`, `Connection`, `Keep-Alive`, `TE`, `Trailer`, `Upgrade`,
    /// `HTTP2-Settings`, `Expect`, `Proxy-…`).
    ///
    /// ```
    /// use idpflare_management::CallOptions;
    ///
    /// let error = CallOptions::new().header("Host", "idp.example.net").expect_err("refused");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the header host can't be set for a request: it is told by the authority"
    /// );
    /// ```
    pub fn header<V>(mut self, name: impl AsRef<str>, value: V) -> Result<Self, Error>
    where
        V: TryInto<HeaderValue>,
    {
        let name = name.as_ref();
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refused(format!("{:?} is no name of a header", one_line(name))))?;
        if let Some(reason) = reserved::reason(&name) {
            let text = format!("the header {name} can't be set for a request: {reason}");
            return Err(refused(text));
        }
        // Its error may quote the value.
        let value = value
            .try_into()
            .map_err(|_| refused(format!("the value for the header {name} can't be sent")))?;
        set(&mut self.headers, name, value).map_err(|error| Error::option(&error))?;
        Ok(self)
    }

    /// Puts a value among the request's extensions, where layers find it by its type. One of the
    /// same type is replaced.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// use http::StatusCode;
    /// use idpflare_management::testing::{CannedReply, CaptureService};
    /// use idpflare_management::{ApiRequest, CallOptions, Client, DeleteUser};
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct Tenant(&'static str);
    ///
    /// let capture = CaptureService::new(CannedReply::new(StatusCode::NO_CONTENT));
    /// let client = Client::from_service("https://idp.example.com", capture.clone())?;
    /// let options = CallOptions::new().extension(Tenant("blue"));
    /// client.send(DeleteUser::new("usr_7").with(options)).await?;
    /// assert_eq!(capture.take()[0].head.extensions.get(), Some(&Tenant("blue")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Adds those of `outer`, which win.
    pub(super) fn extend(&mut self, outer: &Self) -> Result<(), EncodeError> {
        self.deadline = match (self.deadline, outer.deadline) {
            (Some(inner), Some(outer)) => Some(inner.min(outer)),
            (inner, outer) => inner.or(outer),
        };
        self.attempts = outer.attempts.or(self.attempts);
        self.attempts_after_429 = outer.attempts_after_429.or(self.attempts_after_429);
        self.safety = outer.safety.or(self.safety);
        for (name, value) in &outer.headers {
            set(&mut self.headers, name.clone(), value.clone())?;
        }
        self.extensions.extend(outer.extensions.clone());
        Ok(())
    }

    /// Puts them into a request that has no extensions yet.
    pub(super) fn apply<B>(self, request: &mut Request<B>) -> Result<(), EncodeError> {
        for (name, value) in &self.headers {
            set(request.headers_mut(), name.clone(), value.clone())?;
        }
        let extensions = request.extensions_mut();
        *extensions = self.extensions;
        if let Some(limit) = self.deadline {
            extensions.insert(CallLimit::new(limit));
        }
        let own = (self.attempts, self.attempts_after_429, self.safety);
        if own != (None, None, None) {
            // The caller may have given one as an extension.
            let mut retries = extensions.remove::<RetryOverride>().unwrap_or_default();
            if let Some(attempts) = self.attempts {
                retries = retries.attempts(attempts);
            }
            if let Some(attempts) = self.attempts_after_429 {
                retries = retries.attempts_after_429(attempts);
            }
            if let Some(safety) = self.safety {
                retries = retries.safety(safety);
            }
            extensions.insert(retries);
        }
        Ok(())
    }
}

/// A map of headers panics where it is overfull, unless it is asked to try.
fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), EncodeError> {
    match headers.try_insert(name, value) {
        Ok(_) => Ok(()),
        Err(_) => Err(EncodeError::new("there are too many headers")),
    }
}

fn refused(message: String) -> Error {
    Error::option(&EncodeError::new(message))
}

impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("CallOptions")
            .field("deadline", &self.deadline)
            .field("attempts", &self.attempts)
            .field("attempts_after_429", &self.attempts_after_429)
            .field("safety", &self.safety)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// A request with [`CallOptions`]: what [`ApiRequest::with`] makes.
///
/// It is a request of the same operation. Of options inside options, the outer ones win; of two
/// deadlines the shorter one does.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct WithOptions<R> {
    request: R,
    options: CallOptions,
}

impl<R> WithOptions<R> {
    pub(super) fn new(request: R, options: CallOptions) -> Self {
        Self { request, options }
    }

    /// The request without the options.
    pub fn request(&self) -> &R {
        &self.request
    }

    pub(crate) fn map<T>(self, change: impl FnOnce(R) -> T) -> WithOptions<T> {
        WithOptions {
            request: change(self.request),
            options: self.options,
        }
    }
}

impl<R: ApiRequest> ApiRequest for WithOptions<R> {
    type Response = R::Response;

    const OPERATION: &'static Operation = R::OPERATION;

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        self.request.encode(encoder)?;
        encoder.options(&self.options)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<R::Response, DecodeError> {
        R::decode(reply)
    }
}
