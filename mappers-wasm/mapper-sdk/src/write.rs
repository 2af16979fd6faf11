//! Events to JSON text: byte for byte what `serde_json` writes, for about half of its instructions in a guest.
//!
//! Where a mapper's output goes is known to be a `Vec`, and nearly all text in it has nothing to escape; so text is looked at eight
//! bytes at a time and copied whole. Whatever is rarer (numbers, text with escapes) is left to `serde_json`.

use std::io;

use serde::ser::{self, Error as _, Serialize, Serializer};
use serde_json::Error;

/// `value` as JSON, in a buffer that has room for `bytes_expected` to begin with.
pub(crate) fn to_json<T: Serialize>(value: &T, bytes_expected: usize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer { buffer: vec![0; bytes_expected], end: 0 };
    value.serialize(&mut writer)?;
    writer.buffer.truncate(writer.end);
    Ok(writer.buffer)
}

/// What is written is `buffer[..end]`. Behind it there is room already, so that a piece costs one comparison and a copy.
struct Writer {
    buffer: Vec<u8>,
    end: usize,
}

impl Writer {
    #[inline]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.end;
        self.end += bytes;
        if self.end > self.buffer.len() {
            self.grow();
        }
        &mut self.buffer[start..self.end]
    }

    #[cold]
    fn grow(&mut self) {
        self.buffer.resize((self.end * 3 / 2).max(256), 0);
    }

    #[inline]
    fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.room(N).copy_from_slice(bytes);
    }

    /// Text that has nothing to escape, between two others.
    #[inline]
    fn plain<const N: usize, const M: usize>(&mut self, before: &[u8; N], text: &str, after: &[u8; M]) {
        let place = self.room(N + text.len() + M);
        place[..N].copy_from_slice(before);
        place[N..N + text.len()].copy_from_slice(text.as_bytes());
        place[N + text.len()..].copy_from_slice(after);
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        if !is_plain(text.as_bytes()) {
            return self.scalar(text);
        }
        self.plain(b"\"", text, b"\"");
        Ok(())
    }

    fn open(&mut self, open: u8, close: &'static str) -> Members<'_> {
        self.bytes(&[open]);
        Members { writer: self, empty: true, close, raw: false }
    }

    fn variant(&mut self, name: &str) -> Result<(), Error> {
        self.bytes(b"{");
        self.string(name)?;
        self.bytes(b":");
        Ok(())
    }

    fn scalar<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        serde_json::to_writer(self, value)
    }
}

impl io::Write for &mut Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room(bytes.len()).copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a JSON string can have these bytes as they are: no control character, quote or backslash.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte less than `than`, which is at most 128: its difference borrows into its highest bit, which was not set.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGH;
    let has = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let special = |word: u64| less(word, 0x20) | has(word, b'"') | has(word, b'\\');
    // Whatever its length, the last bytes are looked at together with some before them rather than one by one.
    let found = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => {
            let words = bytes.as_chunks::<8>().0;
            words.iter().fold(special(u64::from_le_bytes(*last)), |found, word| {
                found | special(u64::from_le_bytes(*word))
            })
        }
        (None, Some(first), Some(last)) => {
            special(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
        }
        _ => special(bytes.iter().fold(ONES * u64::from(b' '), |word, byte| word << 8 | u64::from(*byte))),
    };
    found == 0
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'w>;
    type SerializeTuple = Members<'w>;
    type SerializeTupleStruct = Members<'w>;
    type SerializeTupleVariant = Members<'w>;
    type SerializeMap = Members<'w>;
    type SerializeStruct = Members<'w>;
    type SerializeStructVariant = Members<'w>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.plain(b"", if value { "true" } else { "false" }, b"");
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.string(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.scalar(&value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.bytes(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.bytes(b"}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'w>, Error> {
        Ok(self.open(b'[', "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'w>, Error> {
        Ok(self.open(b'[', "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'w>, Error> {
        Ok(self.open(b'[', "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'w>, Error> {
        self.variant(variant)?;
        Ok(self.open(b'[', "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'w>, Error> {
        Ok(self.open(b'{', "}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'w>, Error> {
        // How `serde_json` hands on a `RawValue`: a structure of this name, whose one member is the text.
        if name.starts_with("$serde_json::private::") {
            return Ok(Members { writer: self, empty: true, close: "", raw: true });
        }
        Ok(self.open(b'{', "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'w>, Error> {
        self.variant(variant)?;
        Ok(self.open(b'{', "}}"))
    }
}

/// An array or object that has been opened.
struct Members<'w> {
    writer: &'w mut Writer,
    empty: bool,
    close: &'static str,
    raw: bool,
}

impl Members<'_> {
    fn comma(&mut self) {
        if !self.empty {
            self.writer.bytes(b",");
        }
        self.empty = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.raw {
            let start = self.writer.end;
            value.serialize(&mut *self.writer)?;
            let text: String = serde_json::from_slice(&self.writer.buffer[start..self.writer.end])?;
            self.writer.end = start;
            self.writer.plain(b"", &text, b"");
            return Ok(());
        }
        if is_plain(name.as_bytes()) && !self.empty {
            self.writer.plain(b",\"", name, b"\":");
        } else {
            self.comma();
            self.writer.string(name)?;
            self.writer.bytes(b":");
        }
        value.serialize(&mut *self.writer)
    }

    /// A map's key: text, or what is written as text because a member's name has to be.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma();
        let start = self.writer.end;
        key.serialize(&mut *self.writer)?;
        match self.writer.buffer[start] {
            b'"' => {}
            b'-' | b'0'..=b'9' | b't' | b'f' => {
                self.writer.bytes(b"\"\"");
                let end = self.writer.end;
                self.writer.buffer[start..end - 1].rotate_right(1);
            }
            _ => return Err(Error::custom("a member's name must be text")),
        }
        self.writer.bytes(b":");
        Ok(())
    }

    fn close(self) -> Result<(), Error> {
        self.writer.plain(b"", self.close, b"");
        Ok(())
    }
}

macro_rules! elements {
    ($($kind:ident $method:ident)+) => {
        $(impl ser::$kind for Members<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })+
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! members {
    ($($kind:ident)+) => {
        $(impl ser::$kind for Members<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.member(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })+
    };
}

members! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    #[track_caller]
    fn same<T: Serialize>(value: &T) {
        let written = String::from_utf8(to_json(value, 0).unwrap()).unwrap();
        assert_eq!(written, serde_json::to_string(value).unwrap());
    }

    #[derive(serde::Serialize)]
    enum Variant {
        Unit,
        Newtype(u8),
        Tuple(u8, &'static str),
        Struct { a: Option<i64>, b: () },
    }

    #[derive(serde::Serialize)]
    struct Unit;

    #[derive(serde::Serialize)]
    struct Pair(i8, char);

    #[derive(serde::Serialize)]
    struct All<'a> {
        variants: Vec<Variant>,
        unit: Unit,
        pair: Pair,
        raw: &'a RawValue,
        by_number: BTreeMap<i32, f64>,
        by_truth: BTreeMap<bool, u128>,
        by_variant: Vec<BTreeMap<char, Option<&'a str>>>,
        #[serde(rename = "na\"me\\")]
        named: (f32, i128),
    }

    #[test]
    fn everything_is_written_as_serde_json_writes_it() {
        let raw = RawValue::from_string(r#"{"a" : [1.0, "\u00e9"]}"#.to_owned()).unwrap();
        same(&All {
            variants: vec![
                Variant::Unit,
                Variant::Newtype(255),
                Variant::Tuple(0, "x\ny"),
                Variant::Struct { a: Some(i64::MIN), b: () },
                Variant::Struct { a: None, b: () },
            ],
            unit: Unit,
            pair: Pair(-128, '"'),
            raw: &raw,
            by_number: [(-1, 0.1), (7, f64::NAN), (8, 1e300)].into(),
            by_truth: [(true, u128::MAX), (false, 0)].into(),
            by_variant: vec![[('a', None), ('"', Some("ü"))].into(), BTreeMap::new()],
            named: (1.5, i128::MIN),
        });
        same(&json!({"a": [null, true, {"": ""}], "b": {}, "c": [], "d": -1.25, "e": u64::MAX}));
        assert!(to_json(&BTreeMap::from([(vec![1], 1)]), 0).is_err());
    }

    #[test]
    fn what_must_be_escaped_is_found_wherever_it_stands() {
        let around = ["a", "\u{7f}", "\u{80}", "ÿ", " ", "!", "#", "[", "]"];
        for length in 0..20 {
            for at in 0..=length {
                for special in ('\0'..=' ').chain(['"', '\\', '\u{7f}']) {
                    let other = around[(length + at) % around.len()];
                    let text = format!("{}{special}{}", other.repeat(at), other.repeat(length - at));
                    same(&text);
                }
            }
        }
    }
}
