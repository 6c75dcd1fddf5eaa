use std::borrow::Cow;
use std::mem;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::de::StrRead;

use super::cursor::{Cursor, Integer};
use super::name::Name;
use super::unusual::{Unusual, refuse_own_name, unusual, without_any};

/// How deeply arrays and objects are nested at most; `serde_json` takes a few more.
const MAX_DEPTH: u8 = 100;

/// How many names are kept; what an object has more of is read without any.
const NAMES: usize = 24;

/// Reads one document.
pub(super) struct Reader<'de> {
    cursor: Cursor<'de>,
    depth: u8,
    /// The names of the members of the last object that has fields, in their order. The next one is most
    /// likely a row like it, and a name that is expected is compared, and not searched for its end.
    names: [&'de str; NAMES],
}

impl<'de> Reader<'de> {
    /// The value of `text`, all of which is one document; `None` where `serde_json` is to read it.
    pub(super) fn read<T: DeserializeOwned>(text: &'de str) -> Option<T> {
        let mut reader = Self {
            cursor: Cursor::new(text),
            depth: 0,
            names: [""; NAMES],
        };
        let value = without_any(|| T::deserialize(&mut reader))?;
        reader.cursor.peek().is_none().then_some(value)
    }

    /// A number, which `read` reads where it may be no integer, or none that fits.
    #[inline]
    fn number<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        read: impl FnOnce(
            &mut serde_json::Deserializer<StrRead<'de>>,
            V,
        ) -> serde_json::Result<V::Value>,
    ) -> Result<V::Value, Unusual> {
        self.cursor.peek();
        match self.cursor.integer() {
            Some(Integer::Positive(value)) => visitor.visit_u64(value),
            Some(Integer::Negative(value)) => visitor.visit_i64(value),
            None => self.cursor.number(|number| read(number, visitor)),
        }
    }

    /// Whether there is another element or member before `close`. What is in front of it is passed.
    #[inline]
    fn has_next(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Unusual> {
        if self.cursor.peek() == Some(close) {
            return Ok(false);
        }
        if !mem::take(is_first) && !self.cursor.pass(b',') {
            return Err(Unusual::new());
        }
        match self.cursor.peek() {
            None => Err(Unusual::new()),
            Some(next) if next == close => Err(Unusual::new()),
            Some(_) => Ok(true),
        }
    }

    /// What stands between `open` and `close`, which `read` leaves unread.
    #[inline]
    fn nested<T>(
        &mut self,
        open: u8,
        close: u8,
        read: impl FnOnce(&mut Self) -> Result<T, Unusual>,
    ) -> Result<T, Unusual> {
        if !self.cursor.pass(open) || self.depth == MAX_DEPTH {
            return Err(Unusual::new());
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        if !self.cursor.pass(close) {
            return Err(Unusual::new());
        }
        Ok(value)
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
            self.number(visitor, |number, visitor| number.$method(visitor))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.cursor.peek() {
            Some(b'n') => {
                self.cursor.literal("null")?;
                visitor.visit_unit()
            }
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'"') => self.deserialize_str(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'{') => self.deserialize_map(visitor),
            _ => self.number(visitor, |number, visitor| number.deserialize_any(visitor)),
        }
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if self.cursor.peek() == Some(b't') {
            self.cursor.literal("true")?;
            return visitor.visit_bool(true);
        }
        self.cursor.literal("false")?;
        visitor.visit_bool(false)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.cursor.peek();
        match self.cursor.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_str(&text),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        if self.cursor.peek() == Some(b'n') {
            self.cursor.literal("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        refuse_own_name(name)?;
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.nested(b'[', b']', |reader| {
            visitor.visit_seq(Elements {
                reader,
                is_first: true,
            })
        })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.deserialize_struct("", &[], visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        self.nested(b'{', b'}', |reader| {
            visitor.visit_map(Members {
                reader,
                is_first: true,
                index: 0,
                is_row: !fields.is_empty(),
            })
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.deserialize_any(IgnoredAny)?;
        visitor.visit_unit()
    }

    unusual! {
        deserialize_i128() deserialize_u128() deserialize_char()
        deserialize_bytes() deserialize_byte_buf() deserialize_unit()
        deserialize_unit_struct(&'static str)
        deserialize_tuple(usize)
        deserialize_tuple_struct(&'static str, usize)
        deserialize_enum(&'static str, &'static [&'static str])
    }
}

/// The elements of an array.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Unusual;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unusual> {
        if !self.reader.has_next(b']', &mut self.is_first)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// The members of an object.
struct Members<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
    index: usize,
    /// Whether it has fields, and is not a map.
    is_row: bool,
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Unusual;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unusual> {
        if !self.reader.has_next(b'}', &mut self.is_first)? {
            return Ok(None);
        }
        let cursor = &mut self.reader.cursor;
        let mut expected = self
            .reader
            .names
            .get_mut(self.index)
            .filter(|_| self.is_row);
        self.index += 1;
        let name = match expected.as_deref().copied() {
            Some(name) if cursor.pass_name(name) => Cow::Borrowed(name),
            _ => {
                let name = cursor.string()?;
                if let (Some(expected), Cow::Borrowed(name)) = (&mut expected, &name) {
                    **expected = name;
                }
                name
            }
        };
        seed.deserialize(Name(name)).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unusual> {
        if !self.reader.cursor.pass(b':') {
            return Err(Unusual::new());
        }
        seed.deserialize(&mut *self.reader)
    }
}
