use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};

use crate::Operation;

/// One request that a [`FakeIdpflare`](super::FakeIdpflare) has answered. It holds neither the
/// query, nor a body, nor the API key.
///
/// Its text is one line for a request log:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use idpflare_management::GetUserStats;
/// use idpflare_management::testing::FakeIdpflare;
///
/// let fake = FakeIdpflare::new();
/// fake.on_request(|entry| {
///     assert_eq!(entry.operation.map(|operation| operation.id), Some("getUserStats"));
///     assert!(entry.to_string().starts_with("GET /api/v1/stats/users 200 getUserStats key idk_"));
/// });
/// fake.client().send(GetUserStats::new()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLogEntry {
    /// The request's method.
    pub method: Method,
    /// The request's path, as it was sent.
    pub path: String,
    /// Which operation it was; `None` where there is none with this method and path.
    pub operation: Option<&'static Operation>,
    /// The status of the answer.
    pub status: StatusCode,
    /// How the API key begins; `None` where the key was missing or not valid.
    pub key_prefix: Option<String>,
    /// What identifies the answer: its `cf-ray`.
    pub request_id: String,
}

impl fmt::Display for RequestLogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} key {} request {}",
            self.method,
            self.path,
            self.status.as_u16(),
            self.operation.map_or("-", |operation| operation.id),
            self.key_prefix.as_deref().unwrap_or("-"),
            self.request_id,
        )
    }
}

type Observer = Arc<dyn Fn(&RequestLogEntry) + Send + Sync>;

/// Who is told of requests.
#[derive(Default)]
pub(super) struct Observers(Mutex<Vec<Observer>>);

impl Observers {
    pub(super) fn add(&self, observer: Observer) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(observer);
    }

    pub(super) fn tell(&self, entry: &RequestLogEntry) {
        // Called without the lock: an observer may use the fake, or add another.
        let observers = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for observer in observers {
            observer(entry);
        }
    }
}
