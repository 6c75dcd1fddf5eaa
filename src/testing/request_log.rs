use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};

use super::FaultKind;
use crate::Operation;

/// One request that a [`FakeIdpflare`](super::FakeIdpflare) was sent. It holds neither the query,
/// nor a body, nor the API key.
///
/// All of them together are a ledger: what was asked for, what went wrong with it by order of a
/// [`FaultScript`](super::FaultScript), and what was done, whatever the client was told.
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
    /// The status of the answer; `None` where none was sent, because the connection was reset or
    /// the client has gone away before.
    pub status: Option<StatusCode>,
    /// Whether the operation was performed with success: what it changes has changed.
    pub performed: bool,
    /// What went wrong by order of a script.
    pub fault: Option<FaultKind>,
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
            self.status.as_ref().map_or("-", StatusCode::as_str),
            self.operation.map_or("-", |operation| operation.id),
            self.key_prefix.as_deref().unwrap_or("-"),
            self.request_id,
        )?;
        if let Some(fault) = self.fault {
            let performed = if self.performed { "" } else { "not " };
            write!(f, " fault {fault} {performed}performed")?;
        }
        Ok(())
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

/// An entry that the observers are told of once: when it is complete, or when nobody waits for the
/// answer any more.
pub(super) struct UntoldEntry<'a> {
    observers: &'a Observers,
    entry: RequestLogEntry,
    told: bool,
}

impl<'a> UntoldEntry<'a> {
    pub(super) fn new(observers: &'a Observers, entry: RequestLogEntry) -> Self {
        Self {
            observers,
            entry,
            told: false,
        }
    }

    pub(super) fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.observers.tell(&self.entry);
        }
    }
}

impl Deref for UntoldEntry<'_> {
    type Target = RequestLogEntry;

    fn deref(&self) -> &RequestLogEntry {
        &self.entry
    }
}

impl DerefMut for UntoldEntry<'_> {
    fn deref_mut(&mut self) -> &mut RequestLogEntry {
        &mut self.entry
    }
}

impl Drop for UntoldEntry<'_> {
    fn drop(&mut self) {
        // An observer may panic, which in the middle of another panic would end the process.
        if !std::thread::panicking() {
            self.tell();
        }
    }
}
