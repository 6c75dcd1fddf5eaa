//! What the server has seen and done.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use idpflare_management::testing::{FakeIdpflare, RequestLogEntry};

use crate::acts::Act;
use crate::faults::KINDS;

type Key = (&'static str, String);

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<HashMap<Key, Vec<RequestLogEntry>>>>);

impl Ledger {
    /// The ledger of all requests from now on.
    pub(crate) fn of(fake: &FakeIdpflare) -> Self {
        let ledger = Self::default();
        let keep = ledger.clone();
        fake.on_request(move |entry| {
            let operation = entry.operation.expect("no other path is asked for");
            let key = (operation.id, entry.path.clone());
            let mut entries = keep.0.lock().expect("not poisoned");
            entries.entry(key).or_default().push(entry.clone());
        });
        ledger
    }

    /// The requests of this act; none where their path is that of others, too.
    pub(crate) fn requests_of(&self, act: &Act) -> Vec<RequestLogEntry> {
        let Some(subject) = act.subject() else {
            return Vec::new();
        };
        let operation = act.operation();
        let hole = operation
            .path_template
            .split('/')
            .find(|segment| segment.starts_with('{'))
            .expect("a path with a subject has a hole");
        let path = format!("/api/v1{}", operation.path_template.replace(hole, subject));
        let entries = self.0.lock().expect("not poisoned");
        let found = entries.get(&(operation.id, path));
        found.cloned().unwrap_or_default()
    }

    pub(crate) fn faults(&self) -> usize {
        self.fold(|entries| entries.filter(|entry| entry.fault.is_some()).count())
    }

    pub(crate) fn met_every_kind_of_fault(&self) -> bool {
        let kinds: HashSet<_> =
            self.fold(|entries| entries.filter_map(|entry| entry.fault).collect());
        KINDS.iter().all(|kind| kinds.contains(kind))
    }

    fn fold<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &RequestLogEntry>) -> T) -> T {
        let entries = self.0.lock().expect("not poisoned");
        look(&mut entries.values().flatten())
    }
}
