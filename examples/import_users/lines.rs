//! Text by lines, none of them longer than a limit.

use std::io::{self, BufRead, Read};

/// More than any user takes.
const LONGEST: usize = 1024 * 1024;

pub(crate) struct Lines<R> {
    input: R,
    number: u64,
    failed: bool,
}

/// A line, without what ends it; or what is wrong with it.
pub(crate) type Line = Result<String, String>;

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            failed: false,
        }
    }

    /// The number of the line that was last read.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let limit = LONGEST as u64 + 1;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if bytes.ends_with(b"\n") {
            bytes.pop();
        } else if bytes.len() > LONGEST {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Err(String::from("the line is longer than 1 MiB"))));
        }
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
        if self.number == 1 && bytes.starts_with("\u{feff}".as_bytes()) {
            bytes.drain(..3);
        }
        Ok(Some(String::from_utf8(bytes).map_err(|error| {
            let byte = error.utf8_error().valid_up_to() + 1;
            format!("it is not UTF-8 from byte {byte} on")
        })))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if self.failed {
            return None;
        }
        self.read().unwrap_or_else(|error| {
            self.failed = true;
            self.number += 1;
            Some(Err(format!("the file can't be read any further: {error}")))
        })
    }
}
