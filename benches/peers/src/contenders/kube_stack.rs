use http::Request;
use idpflare_management::layers::BoxError;
use idpflare_management::{User, UserPage};
use kube_client::config::AuthInfo;
use kube_client::{Client, Config};
use secrecy::SecretString;

use super::{API_KEY, Contender, get_path, page_path};

/// The Kubernetes client with its default stack: base URI, retry, authorization, headers, trace, and
/// a buffer around them.
#[derive(Clone)]
pub(crate) struct KubeStack(Client);

impl Contender for KubeStack {
    fn new(origin: &str) -> Result<Self, BoxError> {
        let mut config = Config::new(origin.parse()?);
        config.auth_info = AuthInfo {
            token: Some(SecretString::from(API_KEY)),
            ..AuthInfo::default()
        };
        Ok(Self(Client::try_from(config)?))
    }

    async fn get(&self, id: &str) -> Result<User, BoxError> {
        let request = Request::get(get_path(id)).body(Vec::new())?;
        Ok(self.0.request(request).await?)
    }

    async fn page(&self, limit: usize) -> Result<UserPage, BoxError> {
        let request = Request::get(page_path(limit)).body(Vec::new())?;
        Ok(self.0.request(request).await?)
    }
}
