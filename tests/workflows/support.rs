//! What the tests of all jobs need.

use std::fmt::{Debug, Display};
use std::sync::{Arc, Mutex};

use http::Method;
use idpflare_management::testing::{FakeIdpflare, RequestLogEntry};
use idpflare_management::{Client, KeyHandle, Operation, layers};

pub(crate) const AUTHORITY: &str = "https://idp.example.com";

pub(crate) fn key(raw: &str) -> layers::ApiKey {
    layers::ApiKey::new(raw).expect("a key")
}

pub(crate) fn connect(fake: &FakeIdpflare, handle: impl Into<KeyHandle>) -> Client {
    Client::builder(AUTHORITY)
        .key_handle(handle.into())
        .build_with(fake.service())
        .expect("a client")
}

/// All requests from now on.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<RequestLogEntry>>>);

impl Ledger {
    pub(crate) fn of(fake: &FakeIdpflare) -> Self {
        let ledger = Self::default();
        let keep = Arc::clone(&ledger.0);
        fake.on_request(move |entry| keep.lock().expect("not poisoned").push(entry.clone()));
        ledger
    }

    pub(crate) fn changes(&self) -> usize {
        let entries = self.0.lock().expect("not poisoned");
        let changes = entries.iter().filter(|entry| entry.method != Method::GET);
        changes.count()
    }

    /// How often an operation was asked for, and how often it was performed.
    pub(crate) fn count(&self, operation: &Operation) -> (usize, usize) {
        let entries = self.0.lock().expect("not poisoned");
        let of = |entry: &&RequestLogEntry| entry.operation.is_some_and(|it| it.id == operation.id);
        let asked = entries.iter().filter(of);
        (
            asked.clone().count(),
            asked.filter(|entry| entry.performed).count(),
        )
    }
}

/// Fails where a report shows one of these secrets, or what is left of it without the prefix that the
/// server tells.
pub(crate) fn assert_discreet(report: &(impl Debug + Display), secrets: &[&str]) {
    let text = format!("{report:?}\n{report:#?}\n{report}");
    for secret in secrets {
        let hidden = secret.get("idk_".len() + 8..).expect("long enough");
        assert!(!text.contains(hidden), "a secret is shown: {text}");
    }
}
