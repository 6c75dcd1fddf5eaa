//! The clients that are compared. Each makes its request from an id or a page size, presents the API
//! key, reads the whole reply, and decodes it into the same types.

mod hyper_raw;
mod kube_stack;
mod ours;
mod reqwest_bare;
mod tower_stack;

use idpflare_management::layers::BoxError;
use idpflare_management::{User, UserPage};

pub(crate) use hyper_raw::HyperRaw;
pub(crate) use kube_stack::KubeStack;
pub(crate) use ours::Ours;
pub(crate) use reqwest_bare::ReqwestBare;
pub(crate) use tower_stack::TowerStack;

const API_KEY: &str = "idk_1f3870be274f6c49b3e31a0c6728957f";

/// What the others' throughput is divided by.
pub(crate) const BASELINE: &str = "hyper";

/// All, in the order in which they take their first turns.
pub(crate) const NAMES: [&str; 6] = [
    BASELINE,
    "ours",
    // Once more the same, so that its ratio shows the noise.
    "hyper_control",
    "tower",
    "reqwest",
    "kube",
];

pub(crate) trait Contender: Clone + Send + Sync + 'static {
    /// A client for the server at `origin`, such as `http://127.0.0.1:8080`.
    fn new(origin: &str) -> Result<Self, BoxError>;

    fn get(&self, id: &str) -> impl Future<Output = Result<User, BoxError>> + Send;

    fn page(&self, limit: usize) -> impl Future<Output = Result<UserPage, BoxError>> + Send;
}

fn get_path(id: &str) -> String {
    format!("/api/v1/users/{id}")
}

fn page_path(limit: usize) -> String {
    format!("/api/v1/users?limit={limit}")
}
