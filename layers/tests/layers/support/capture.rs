//! A subscriber that keeps all that it is told, at every level.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span, as it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    id: u64,
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) parent: Option<&'static str>,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) closed: bool,
}

impl Seen {
    /// The value of a field: a `&str` in quotes, what is displayed and numbers without.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// All fields, one a line.
    pub(crate) fn snapshot(&self) -> String {
        let lines = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[derive(Clone, Default)]
pub(crate) struct Capture {
    spans: Arc<Mutex<Vec<Seen>>>,
    events: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// Listens on this thread for as long as the guard lives.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let subscriber = tracing_subscriber::registry().with(capture.clone());
        (capture, tracing::subscriber::set_default(subscriber))
    }

    /// All spans called `name`.
    pub(crate) fn spans(&self, name: &str) -> Vec<Seen> {
        let spans = self.lock();
        spans
            .iter()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    }

    /// The only span called `name`.
    pub(crate) fn span(&self, name: &str) -> Seen {
        let mut spans = self.spans(name);
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }

    /// All that was told.
    pub(crate) fn everything(&self) -> String {
        let events = self.events.lock().expect("no panic");
        format!("{:?}{:?}", *self.lock(), *events)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.spans.lock().expect("no panic")
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it is new");
        let metadata = attributes.metadata();
        let mut seen = Seen {
            id: id.into_u64(),
            name: metadata.name(),
            target: metadata.target(),
            parent: span.parent().map(|parent| parent.name()),
            ..Seen::default()
        };
        attributes.record(&mut Fields(&mut seen.fields));
        self.lock().push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.lock();
        let open = |span: &&mut Seen| span.id == id.into_u64() && !span.closed;
        let seen = spans.iter_mut().find(open).expect("it is open");
        values.record(&mut Fields(&mut seen.fields));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let event = format!("{} {fields:?}", event.metadata().name());
        self.events.lock().expect("no panic").push(event);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut spans = self.lock();
        let open = |span: &&mut Seen| span.id == id.into_u64() && !span.closed;
        spans.iter_mut().find(open).expect("it is open").closed = true;
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
