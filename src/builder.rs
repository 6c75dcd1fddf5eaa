use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{
    ApiKey, BoxError, CredentialProvider, InvalidApiKey, KeyHandle, Rate, RateLimiter, RetryPolicy,
};
use tower::{Layer, Service};

use crate::client::DEFAULT_MAX_REPLY_BYTES;
use crate::stack::{BoxService, Layers, Settings, Stack, StackLayer};
use crate::{Authority, Client, Error};

const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_USER_AGENT: &str = concat!("idpflare-management/", env!("CARGO_PKG_VERSION"));

/// Where a client finds its instance: see [`Client::from_env`].
pub(crate) const AUTHORITY_VARIABLE: &str = "IDPFLARE_AUTHORITY";
/// Where a client finds its key: see [`Client::from_env`].
pub(crate) const API_KEY_VARIABLE: &str = "IDPFLARE_API_KEY";

/// Makes a [`Client`] with the standard stack of layers.
///
/// | setting | default |
/// |---|---|
/// | [`api_key`](Self::api_key), [`key_handle`](Self::key_handle) or [`credential_provider`](Self::credential_provider) | none: one of them is needed |
/// | [`deadline`](Self::deadline) | 30 s for a whole call |
/// | [`retry`](Self::retry) | 3 attempts, where a repeat is safe |
/// | [`rate_limit`](Self::rate_limit) | as the server asks for |
/// | [`attempt_timeout`](Self::attempt_timeout) | 10 s for one attempt |
/// | [`max_reply_bytes`](Self::max_reply_bytes) | 16 MiB |
/// | [`user_agent`](Self::user_agent) | `idpflare-management/VERSION` |
///
/// What was wrong with a setting is told by [`build`](Self::build) or
/// [`build_with`](Self::build_with).
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    authority: Result<Authority, Error>,
    key: Option<Result<KeyHandle, InvalidApiKey>>,
    deadline: Duration,
    retry: RetryPolicy,
    rate_limiter: RateLimiter,
    attempt_timeout: Duration,
    max_reply_bytes: usize,
    user_agent: Result<HeaderValue, http::Error>,
    layers: Layers,
    attempt_layers: Layers,
    change: Option<ChangeStack>,
}

type ChangeStack = Box<dyn FnOnce(Stack) -> Result<Stack, Error> + Send>;

impl Client<BoxService> {
    /// Starts to make a client for the instance at `authority`: a URL as text, or an [`Authority`].
    ///
    #[cfg_attr(feature = "hyper", doc = "```no_run")]
    #[cfg_attr(not(feature = "hyper"), doc = "```ignore")]
    /// use idpflare_management::Client;
    ///
    /// # fn main() -> Result<(), idpflare_management::Error> {
    /// let client = Client::builder("https://idp.example.com")
    ///     .api_key("idk_…")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder<A>(authority: A) -> ClientBuilder
    where
        A: TryInto<Authority>,
        A::Error: Into<Error>,
    {
        ClientBuilder {
            authority: authority.try_into().map_err(Into::into),
            key: None,
            deadline: DEFAULT_DEADLINE,
            retry: RetryPolicy::new(),
            rate_limiter: RateLimiter::new(Rate::MAX),
            attempt_timeout: DEFAULT_ATTEMPT_TIMEOUT,
            max_reply_bytes: DEFAULT_MAX_REPLY_BYTES,
            user_agent: Ok(HeaderValue::from_static(DEFAULT_USER_AGENT)),
            layers: Layers::default(),
            attempt_layers: Layers::default(),
            change: None,
        }
    }
}

impl ClientBuilder {
    /// A builder with the authority and the key that the environment variables `IDPFLARE_AUTHORITY`
    /// and `IDPFLARE_API_KEY` hold.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where one of them is not set,
    /// or is not text.
    pub fn from_env() -> Result<Self, Error> {
        let authority = variable(AUTHORITY_VARIABLE, "the URL of the instance")?;
        let api_key = variable(API_KEY_VARIABLE, "an API key of it")?;
        Ok(Client::builder(authority).api_key(api_key))
    }

    /// The API key, as text or as an [`ApiKey`].
    pub fn api_key<K>(mut self, key: K) -> Self
    where
        K: TryInto<ApiKey>,
        K::Error: Into<InvalidApiKey>,
    {
        let key = key.try_into().map_err(Into::into);
        self.key = Some(key.map(KeyHandle::new));
        self
    }

    /// A handle on the API key, through which a running client can be given a new one.
    pub fn key_handle(mut self, handle: KeyHandle) -> Self {
        self.key = Some(Ok(handle));
        self
    }

    /// Where the API key comes from, if it is not known in advance: a secret store, a file, or any
    /// closure that returns a future of an [`ApiKey`]. See [`KeyHandle::from_provider`]. For a provider
    /// that needs more than 5 s, pass a handle with a
    /// [`provider_limit`](KeyHandle::provider_limit) to [`key_handle`](Self::key_handle).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// # let fake = idpflare_management::testing::FakeIdpflare::new();
    /// # let path = fake.api_key().to_owned();
    /// # let read_file = move |_| std::future::ready(Ok::<_, std::io::Error>(path.clone()));
    /// use idpflare_management::layers::{ApiKey, BoxError};
    /// use idpflare_management::{Client, GetUserStats};
    ///
    /// let client = Client::builder("https://idp.example.com")
    ///     .credential_provider(move || {
    ///         let content = read_file("/run/secrets/idpflare");
    ///         async { Ok::<_, BoxError>(ApiKey::new(content.await?)?) }
    ///     })
    ///     .build_with(fake.service())?;
    /// client.send(GetUserStats::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn credential_provider(self, provider: impl CredentialProvider) -> Self {
        self.key_handle(KeyHandle::from_provider(provider))
    }

    /// How long a whole call may take, all attempts and the reply's body included.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// What is sent again, how often, and after which wait. The default is 3 attempts, full jitter
    /// from 100 ms, and a budget that all clones share; what is not safe to repeat never is.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how often requests may be sent: a [`Rate`], or a [`RateLimiter`] that other clients with
    /// the same key share.
    ///
    /// By default the server alone limits the rate. After a 429, or a reply that says that nothing
    /// remains of the quota, all clones wait as long as it asks for, 20 seconds at most. After a 429
    /// that names no time, the limiter finds the rate by itself. A 503 holds back no other request.
    pub fn rate_limit(mut self, limiter: impl Into<RateLimiter>) -> Self {
        self.rate_limiter = limiter.into();
        self
    }

    /// How long one attempt may take, the reply's body included.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// How large a reply may be, in bytes.
    pub fn max_reply_bytes(mut self, limit: usize) -> Self {
        self.max_reply_bytes = limit;
        self
    }

    /// What the client calls itself (RFC 9110, section 10.1.5).
    pub fn user_agent<V>(mut self, user_agent: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.user_agent = user_agent.try_into().map_err(Into::into);
        self
    }

    /// Adds a layer that sees each call once: outside of all slots. Of several, the first added is
    /// the outermost.
    pub fn layer<L: StackLayer>(mut self, layer: L) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds a layer that sees each attempt: directly inside of what repeats them. Of several, the
    /// first added is the outermost.
    pub fn attempt_layer<L: StackLayer>(mut self, layer: L) -> Self {
        self.attempt_layers.push(layer);
        self
    }

    /// Changes the stack, the layers added with [`layer`](Self::layer) and
    /// [`attempt_layer`](Self::attempt_layer) included. A second change is made to what the first
    /// one left.
    pub fn stack<F>(mut self, change: F) -> Self
    where
        F: FnOnce(Stack) -> Result<Stack, Error> + Send + 'static,
    {
        self.change = Some(match self.change.take() {
            None => Box::new(change),
            Some(first) => Box::new(|stack| change(first(stack)?)),
        });
        self
    }

    /// A client over `transport` instead of over HTTP connections of its own: a
    /// [`Transport`](crate::Transport) with other settings, the fake's service, or any other that
    /// takes requests to replies.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), with what to change.
    pub fn build_with<T, B>(self, transport: T) -> Result<Client, Error>
    where
        T: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let authority = self.authority?;
        let key = self
            .key
            .ok_or_else(|| Error::configuration("there is no API key: give one with api_key"))?
            .map_err(|error| Error::configuration(error.to_string()))?;
        for (name, limit) in [
            ("deadline", self.deadline),
            ("attempt_timeout", self.attempt_timeout),
        ] {
            if limit.is_zero() {
                return Err(Error::configuration(format!(
                    "{name} is zero, which no call can keep: give it a limit above that"
                )));
            }
        }
        if self.max_reply_bytes == 0 {
            return Err(Error::configuration(
                "max_reply_bytes is zero, which no reply fits: give it a limit above that",
            ));
        }
        let user_agent = self.user_agent.map_err(|error| {
            Error::configuration("user_agent can't be sent as a header").with_source(error)
        })?;
        let settings = Settings {
            deadline: self.deadline,
            retry: self.retry,
            rate_limiter: self.rate_limiter,
            attempt_timeout: self.attempt_timeout,
            key,
            origin: authority.origin().clone(),
            user_agent,
            max_reply_bytes: self.max_reply_bytes,
        };
        // As long as nobody asks for another order, it is one type that the compiler sees through.
        let (service, has_other_layers, deadline) =
            if self.layers.is_empty() && self.attempt_layers.is_empty() && self.change.is_none() {
                (settings.build(transport), false, Some(self.deadline))
            } else {
                let stack = settings
                    .stack()
                    .with_layers(self.layers, self.attempt_layers)?;
                let stack = match self.change {
                    Some(change) => change(stack)?,
                    None => stack,
                };
                let transport = BoxService::new(settings.below().layer(transport));
                (stack.build(transport), stack.has_others(), stack.deadline())
            };
        Ok(Client::recording(
            authority,
            service,
            self.max_reply_bytes,
            has_other_layers,
            deadline,
        ))
    }
}

#[cfg(feature = "hyper")]
impl ClientBuilder {
    /// A client over HTTP connections of its own, with the defaults of
    /// [`Transport`](crate::Transport). For others, give a transport to
    /// [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), with what to change.
    pub fn build(self) -> Result<Client, Error> {
        let needs_tls = match &self.authority {
            Ok(authority) => *authority.scheme() == http::uri::Scheme::HTTPS,
            // `build_with` tells what is wrong with it.
            Err(_) => false,
        };
        let transport = crate::Transport::builder();
        let transport = if needs_tls {
            transport
        } else {
            transport.without_tls()
        };
        self.build_with(transport.build()?)
    }
}

#[cfg(feature = "hyper")]
impl Client<BoxService> {
    /// A client for the instance and with the key that the environment variables
    /// `IDPFLARE_AUTHORITY` and `IDPFLARE_API_KEY` hold; all else has its default.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where one of them is not set,
    /// or no client can be made of them.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }
}

fn variable(name: &str, what: &str) -> Result<String, Error> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) => Err(Error::configuration(format!(
            "the environment variable {name} is empty: set it to {what}"
        ))),
        // The error of a variable that is not text would quote it.
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::configuration(format!(
            "the environment variable {name} is not text: set it to {what}"
        ))),
        Err(std::env::VarError::NotPresent) => Err(Error::configuration(format!(
            "the environment variable {name} is not set: set it to {what}"
        ))),
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("authority", &self.authority)
            .field("deadline", &self.deadline)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("max_reply_bytes", &self.max_reply_bytes)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
