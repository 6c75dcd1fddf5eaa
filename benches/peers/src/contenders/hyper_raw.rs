use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use idpflare_management::layers::BoxError;
use idpflare_management::{User, UserPage};
use serde::de::DeserializeOwned;

use super::{API_KEY, Contender, get_path, page_path};

/// hyper-util's client and serde_json, with nothing in between: what any client over them costs at
/// least, if it is written straight ahead.
#[derive(Clone)]
pub(crate) struct HyperRaw {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: String,
    authorization: HeaderValue,
}

impl HyperRaw {
    async fn send<T: DeserializeOwned>(&self, path: &str) -> Result<T, BoxError> {
        let request = Request::get(format!("{}{path}", self.origin))
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::default())?;
        let reply = self.client.request(request).await?;
        if !reply.status().is_success() {
            return Err(reply.status().as_str().into());
        }
        let body = reply.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

/// The client that others are composed over, too.
pub(super) fn client() -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

impl Contender for HyperRaw {
    fn new(origin: &str) -> Result<Self, BoxError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {API_KEY}"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: client(),
            origin: origin.to_owned(),
            authorization,
        })
    }

    async fn get(&self, id: &str) -> Result<User, BoxError> {
        self.send(&get_path(id)).await
    }

    async fn page(&self, limit: usize) -> Result<UserPage, BoxError> {
        self.send(&page_path(limit)).await
    }
}
