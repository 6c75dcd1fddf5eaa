//! Hears all that can be heard.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use crate::search::Search;
use crate::secrets;
use crate::support::capture::Capture;

/// One at a time, since all that is heard is the whole program's.
static TURN: Mutex<()> = Mutex::new(());
static EVENTS: LazyLock<Capture> = LazyLock::new(Capture::default);
static RECORDS: Mutex<String> = Mutex::new(String::new());
static PANICS: Mutex<String> = Mutex::new(String::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the records of crates that use `log` instead of `tracing`, which rustls does.
struct Records;

impl Log for Records {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}\n", record.target(), record.args());
        lock(&RECORDS).push_str(&line);
    }

    fn flush(&self) {}
}

fn listen() {
    tracing::subscriber::set_global_default(EVENTS.clone()).expect("nobody else listens");
    log::set_logger(&Records).expect("nobody else listens");
    log::set_max_level(LevelFilter::Trace);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        lock(&PANICS).push_str(&format!("{panic}\n{panic:?}\n"));
        default(panic);
    }));
}

/// What was shown to somebody, and what to search it for.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    text: String,
    types: BTreeSet<&'static str>,
    search: Search,
}

impl Notes {
    /// The `Debug` of a value, also over several lines.
    pub(crate) fn debug<T: Debug>(&self, value: &T) {
        let text = format!("{value:?}\n{value:#?}\n");
        let mut shown = lock(&self.0);
        shown.text.push_str(&text);
        shown.types.insert(std::any::type_name::<T>());
    }

    pub(crate) fn display<T: Display>(&self, value: &T) {
        let text = format!("{value}\n{value:#}\n");
        lock(&self.0).text.push_str(&text);
    }

    /// An error and all its sources.
    pub(crate) fn error<E: StdError + 'static>(&self, error: &E) {
        self.debug(error);
        self.display(error);
        let mut source = error.source();
        while let Some(error) = source {
            self.display(&error);
            self.debug(&error);
            source = error.source();
        }
    }

    /// What others have noted.
    pub(crate) fn adopt(&self, others: &Self) {
        let text = std::mem::take(&mut lock(&others.0).text);
        lock(&self.0).text.push_str(&text);
    }

    /// A secret that has only come up now.
    pub(crate) fn secret(&self, name: &str, secret: &str) {
        lock(&self.0).search.add(name, secret);
    }

    /// Whether the `Debug` of a type with this name was seen, by itself or inside of another.
    pub(crate) fn has_seen(&self, name: &str) -> bool {
        let shown = lock(&self.0);
        let mut types = shown.types.iter();
        let is_part = |of: &str| {
            of.split(|char: char| !char.is_alphanumeric())
                .any(|part| part == name)
        };
        types.any(|whole| is_part(whole)) || shown.text.contains(&format!(" {name} {{"))
    }
}

pub(crate) struct Witness {
    pub(crate) notes: Notes,
    /// The crates that were heard.
    crates: BTreeSet<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Witness {
    /// Waits until nobody else listens, and then does.
    pub(crate) fn start() -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(listen);
        let turn = lock(&TURN);
        let notes = Notes::default();
        for (name, secret) in secrets::ALL {
            notes.secret(name, secret);
        }
        let mut witness = Self {
            notes,
            crates: BTreeSet::new(),
            _turn: turn,
        };
        // Others' belated news is not ours.
        witness.take();
        witness
    }

    fn take(&mut self) -> [(&'static str, String); 4] {
        let events = EVENTS.take();
        let records = std::mem::take(&mut *lock(&RECORDS));
        for line in events.lines().chain(records.lines()) {
            let name = line.split([':', ' ']).next().unwrap_or_default();
            if !self.crates.contains(name) {
                self.crates.insert(name.to_owned());
            }
        }
        [
            ("an event or span", events),
            ("a record", records),
            ("a panic", std::mem::take(&mut *lock(&PANICS))),
            (
                "what was shown",
                std::mem::take(&mut lock(&self.notes.0).text),
            ),
        ]
    }

    /// Where a secret was heard since the last time, and which one.
    pub(crate) fn leak(&mut self) -> Option<String> {
        let heard = self.take();
        let shown = lock(&self.notes.0);
        heard.iter().find_map(|(place, text)| {
            let (name, around) = shown.search.find(text)?;
            Some(format!("{place} has {name}: …{around}…"))
        })
    }

    pub(crate) fn assert_discreet(&mut self, occasion: &str) {
        if let Some(leak) = self.leak() {
            panic!("{occasion}: {leak}");
        }
    }

    /// That these crates, or spans, were heard at all.
    pub(crate) fn assert_heard(&self, names: &[&str]) {
        for name in names {
            assert!(self.crates.contains(*name), "{name}: {:?}", self.crates);
        }
    }
}
