use http::HeaderValue;
use http::header::AUTHORIZATION;
use idpflare_management::layers::BoxError;
use idpflare_management::{User, UserPage};
use serde::de::DeserializeOwned;

use super::{API_KEY, Contender, get_path, page_path};

/// reqwest as it comes, without middleware.
#[derive(Clone)]
pub(crate) struct ReqwestBare {
    client: reqwest::Client,
    origin: String,
    authorization: HeaderValue,
}

impl ReqwestBare {
    async fn send<T: DeserializeOwned>(&self, path: &str) -> Result<T, BoxError> {
        let reply = self
            .client
            .get(format!("{}{path}", self.origin))
            .header(AUTHORIZATION, self.authorization.clone())
            .send()
            .await?
            .error_for_status()?;
        Ok(reply.json().await?)
    }
}

impl Contender for ReqwestBare {
    fn new(origin: &str) -> Result<Self, BoxError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {API_KEY}"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            // The environment's proxy would be used for loopback, too.
            client: reqwest::Client::builder().no_proxy().build()?,
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
