use std::fmt;

use form_urlencoded::byte_serialize;

/// What can be the value of a query parameter.
pub trait QueryValue {
    /// Appends the value in the WHATWG form encoding.
    fn append_to(&self, query: &mut String);
}

impl QueryValue for &str {
    fn append_to(&self, query: &mut String) {
        query.extend(byte_serialize(self.as_bytes()));
    }
}

impl QueryValue for bool {
    fn append_to(&self, query: &mut String) {
        query.push_str(if *self { "true" } else { "false" });
    }
}

impl QueryValue for u32 {
    fn append_to(&self, query: &mut String) {
        append_number(self, query);
    }
}

impl QueryValue for i64 {
    fn append_to(&self, query: &mut String) {
        append_number(self, query);
    }
}

impl QueryValue for u64 {
    fn append_to(&self, query: &mut String) {
        append_number(self, query);
    }
}

impl QueryValue for jiff::Timestamp {
    /// Milliseconds since the Unix epoch.
    fn append_to(&self, query: &mut String) {
        append_number(&self.as_millisecond(), query);
    }
}

fn append_number(number: &dyn fmt::Display, query: &mut String) {
    // Writing to a `String` does not fail.
    let _ = fmt::Write::write_fmt(query, format_args!("{number}"));
}
