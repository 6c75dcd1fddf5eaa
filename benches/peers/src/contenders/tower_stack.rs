use std::future::{Ready, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use idpflare_management::layers::BoxError;
use idpflare_management::{User, UserPage};
use serde::de::DeserializeOwned;
use tower::retry::{Policy, Retry, RetryLayer};
use tower::timeout::{Timeout, TimeoutLayer};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::auth::{AddAuthorization, AddAuthorizationLayer};
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{Trace, TraceLayer};

use super::{API_KEY, Contender, get_path, hyper_raw, page_path};

type Attempt = Timeout<AddAuthorization<Client<HttpConnector, Full<Bytes>>>>;
type Stack = Trace<Retry<Attempts, Attempt>, SharedClassifier<ServerErrorsAsFailures>>;

/// What a team composes of tower's and tower-http's own layers.
#[derive(Clone)]
pub(crate) struct TowerStack {
    stack: Stack,
    origin: String,
}

impl TowerStack {
    async fn send<T: DeserializeOwned>(&self, path: &str) -> Result<T, BoxError> {
        let request = Request::get(format!("{}{path}", self.origin)).body(Full::default())?;
        let reply = self.stack.clone().oneshot(request).await?;
        if !reply.status().is_success() {
            return Err(reply.status().as_str().into());
        }
        let body = reply.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

impl Contender for TowerStack {
    fn new(origin: &str) -> Result<Self, BoxError> {
        let stack = ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(RetryLayer::new(Attempts { left: 2 }))
            .layer(TimeoutLayer::new(Duration::from_secs(10)))
            .layer(AddAuthorizationLayer::bearer(API_KEY).as_sensitive(true))
            .service(hyper_raw::client());
        Ok(Self {
            stack,
            origin: origin.to_owned(),
        })
    }

    async fn get(&self, id: &str) -> Result<User, BoxError> {
        self.send(&get_path(id)).await
    }

    async fn page(&self, limit: usize) -> Result<UserPage, BoxError> {
        self.send(&page_path(limit)).await
    }
}

/// Tries again after errors and replies of 5xx.
#[derive(Clone)]
struct Attempts {
    left: usize,
}

impl Policy<Request<Full<Bytes>>, Response<Incoming>, BoxError> for Attempts {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        outcome: &mut Result<Response<Incoming>, BoxError>,
    ) -> Option<Ready<()>> {
        let failed = outcome
            .as_ref()
            .map_or(true, |reply| reply.status().is_server_error());
        if !failed {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}
