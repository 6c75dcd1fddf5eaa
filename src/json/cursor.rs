use std::borrow::Cow;

use serde_json::de::StrRead;

use super::unusual::Unusual;

/// The bytes that can be told apart from others in one step.
const STEP: usize = size_of::<u64>();

/// Every byte a one.
const ONES: u64 = u64::from_ne_bytes([1; STEP]);

/// The highest bit of every byte.
const HIGHEST: u64 = u64::from_ne_bytes([0x80; STEP]);

/// How many digits fit into any integer of 64 bits.
const DIGITS: usize = 18;

/// A text, and how much of it has been read. What is read is never more than a token.
pub(super) struct Cursor<'de> {
    text: &'de str,
    at: usize,
}

/// As JSON has it, of no more than [`DIGITS`].
pub(super) enum Integer {
    Positive(u64),
    Negative(i64),
}

impl<'de> Cursor<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.text.as_bytes().get(self.at).copied();
            match byte {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Passes `byte` where it is the next one that is no white space.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes `text`, which begins right here.
    #[inline]
    pub(super) fn literal(&mut self, text: &str) -> Result<(), Unusual> {
        if !self.rest().starts_with(text.as_bytes()) {
            return Err(Unusual::new());
        }
        self.at += text.len();
        Ok(())
    }

    /// Passes `name` in quotes where it begins right here.
    #[inline]
    pub(super) fn pass_name(&mut self, name: &str) -> bool {
        let is_next = match self.rest().split_first() {
            Some((b'"', rest)) => {
                rest.get(name.len()) == Some(&b'"') && rest.starts_with(name.as_bytes())
            }
            _ => false,
        };
        if is_next {
            self.at += name.len() + 2;
        }
        is_next
    }

    /// A string that begins right here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Unusual> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return Err(Unusual::new());
        }
        let start = self.at + 1;
        let end = end_of_plain(bytes, start);
        if bytes.get(end) != Some(&b'"') {
            return self.escaped(end);
        }
        let Some(text) = self.text.get(start..end) else {
            return Err(Unusual::new());
        };
        self.at = end + 1;
        Ok(Cow::Borrowed(text))
    }

    /// A string that begins right here, and whose first byte that is not plain is at `special`.
    #[cold]
    fn escaped(&mut self, special: usize) -> Result<Cow<'de, str>, Unusual> {
        let bytes = self.text.as_bytes();
        let mut end = special;
        while bytes.get(end) == Some(&b'\\') {
            end = end_of_plain(bytes, end + 2);
        }
        let quoted = self.text.get(self.at..=end).unwrap_or_default();
        let Ok(text) = serde_json::from_str(quoted) else {
            return Err(Unusual::new());
        };
        self.at = end + 1;
        Ok(Cow::Owned(text))
    }

    /// An integer that begins right here, unless it is one that may not fit.
    #[inline]
    pub(super) fn integer(&mut self) -> Option<Integer> {
        let rest = self.rest();
        let is_negative = rest.first() == Some(&b'-');
        let digits = rest.get(usize::from(is_negative)..)?;
        let mut value = 0_i64;
        let mut length = 0;
        while let Some(digit @ b'0'..=b'9') = digits.get(length) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            length += 1;
        }
        // No number begins with a zero but zero itself, and what goes on is none that ends here.
        let is_whole = match digits.first() {
            Some(b'0') => length == 1 && !is_negative,
            _ => (1..=DIGITS).contains(&length),
        };
        if !is_whole || digits.get(length).is_some_and(is_part_of_number) {
            return None;
        }
        self.at += usize::from(is_negative) + length;
        Some(if is_negative {
            Integer::Negative(-value)
        } else {
            Integer::Positive(value.unsigned_abs())
        })
    }

    /// Has `serde_json` read a number that begins right here.
    #[cold]
    pub(super) fn number<T>(
        &mut self,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Unusual> {
        let number = self
            .rest()
            .iter()
            .take_while(|byte| is_part_of_number(byte));
        let end = self.at + number.count();
        let number = self.text.get(self.at..end).unwrap_or_default();
        let mut number = serde_json::Deserializer::from_str(number);
        match read(&mut number) {
            Ok(value) if number.end().is_ok() => {
                self.at = end;
                Ok(value)
            }
            _ => Err(Unusual::new()),
        }
    }
}

fn is_part_of_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Where the first quote, backslash or control character is, from `at` on; the end where there is
/// none.
#[inline]
fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    // A byte of `word` that is `of` makes the highest bit of that byte of the result; so can bytes
    // behind it, but none before it.
    let find = |word: u64, of: u8| {
        let differing = word ^ (ONES * u64::from(of));
        differing.wrapping_sub(ONES) & !differing
    };
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let word = u64::from_le_bytes(*step);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (find(word, b'"') | find(word, b'\\') | control) & HIGHEST;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += STEP;
    }
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    while bytes.get(at).is_some_and(is_plain) {
        at += 1;
    }
    at
}
