use std::cell::Cell;
use std::fmt;

use serde::de;

thread_local! {
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
}

/// Something that `serde_json` is to decide.
///
/// It counts for the whole text, also where somebody makes something of it: what `serde_json` would
/// have said, and where it would have gone on, is not known here. As serde makes errors also where no
/// reader is at hand, each one leaves a mark in its thread.
#[derive(Debug)]
pub(super) struct Unusual(());

impl Unusual {
    #[cold]
    pub(super) fn new() -> Self {
        HAS_FAILED.set(true);
        Self(())
    }
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unusual JSON")
    }
}

impl std::error::Error for Unusual {}

impl de::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new()
    }
}

/// What `read` comes to, unless anything was unusual meanwhile.
pub(super) fn without_any<T>(read: impl FnOnce() -> Result<T, Unusual>) -> Option<T> {
    // One may be read in the middle of another.
    let before = HAS_FAILED.replace(false);
    let value = read();
    let has_failed = HAS_FAILED.replace(before);
    value.ok().filter(|_| !has_failed)
}

/// What `serde_json` makes of a type with one of its own names, which begin so, is not to be guessed.
pub(super) fn refuse_own_name(name: &str) -> Result<(), Unusual> {
    if name.starts_with('$') {
        return Err(Unusual::new());
    }
    Ok(())
}

/// What no reply has, and `serde_json` reads in ways of its own.
macro_rules! unusual {
    ($($method:ident($($argument:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Unusual> {
            Err(Unusual::new())
        }
    )*};
}
pub(super) use unusual;
