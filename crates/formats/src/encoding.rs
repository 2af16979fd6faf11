//! Encodings: the bytes of a message to UTF-8, without losing or guessing a character.
//!
//! Labels are those of the WHATWG Encoding Standard (<https://encoding.spec.whatwg.org/#names-and-labels>), of which the
//! encodings of European systems and UTF-16 are here. As there, `iso-8859-1` is read as `windows-1252`, whose additions are
//! control characters in the former. Unlike there, a byte that has no character is an error: nothing is replaced.
//!
//! Three statements may exist: a byte order mark in the file, the encoding that the contract declares, and the `charset` that
//! the sender states. [`decode`] says which one holds, and refuses where two of them give different texts.

use std::borrow::Cow;
use std::fmt;

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// The default.
    Utf8,
    /// In the order of its byte order mark, which it must have.
    Utf16,
    /// Low byte first.
    Utf16Le,
    /// High byte first.
    Utf16Be,
    /// Latin-1, Western European; read as [`Encoding::Windows1252`].
    Iso8859_1,
    /// Latin-2, Central European.
    Iso8859_2,
    /// Cyrillic.
    Iso8859_5,
    /// Greek.
    Iso8859_7,
    /// Latin-9: Latin-1 with the euro sign.
    Iso8859_15,
    /// Central European.
    Windows1250,
    /// Cyrillic.
    Windows1251,
    /// Western European.
    Windows1252,
    /// Greek.
    Windows1253,
    /// Turkish.
    Windows1254,
    /// Baltic.
    Windows1257,
}

/// What the bytes from 0x80 on say; zero: nothing.
type Table = [u16; 128];

impl Encoding {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Utf8,
        Self::Utf16,
        Self::Utf16Le,
        Self::Utf16Be,
        Self::Iso8859_1,
        Self::Iso8859_2,
        Self::Iso8859_5,
        Self::Iso8859_7,
        Self::Iso8859_15,
        Self::Windows1250,
        Self::Windows1251,
        Self::Windows1252,
        Self::Windows1253,
        Self::Windows1254,
        Self::Windows1257,
    ];

    /// As in a contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.labels()[0]
    }

    /// Of a label, in any case, with blanks around it.
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        let label = label.trim();
        Self::ALL.into_iter().find(|one| one.labels().iter().any(|known| known.eq_ignore_ascii_case(label)))
    }

    /// The name first, then what senders call it too.
    fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Utf8 => {
                &["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"]
            }
            Self::Utf16 => &["utf-16", "utf16", "unicode", "ucs-2", "iso-10646-ucs-2", "csunicode"],
            Self::Utf16Le => &["utf-16le", "utf16le", "unicodefeff"],
            Self::Utf16Be => &["utf-16be", "utf16be", "unicodefffe"],
            Self::Iso8859_1 => &[
                "iso-8859-1",
                "iso8859-1",
                "iso88591",
                "iso_8859-1",
                "iso_8859-1:1987",
                "iso-ir-100",
                "latin1",
                "latin-1",
                "l1",
                "cp819",
                "ibm819",
                "csisolatin1",
                "ascii",
                "us-ascii",
                "ansi_x3.4-1968",
            ],
            Self::Iso8859_2 => &[
                "iso-8859-2",
                "iso8859-2",
                "iso88592",
                "iso_8859-2",
                "iso_8859-2:1987",
                "iso-ir-101",
                "latin2",
                "latin-2",
                "l2",
                "csisolatin2",
            ],
            Self::Iso8859_5 => &[
                "iso-8859-5",
                "iso8859-5",
                "iso88595",
                "iso_8859-5",
                "iso_8859-5:1988",
                "iso-ir-144",
                "cyrillic",
                "csisolatincyrillic",
            ],
            Self::Iso8859_7 => &[
                "iso-8859-7",
                "iso8859-7",
                "iso88597",
                "iso_8859-7",
                "iso_8859-7:1987",
                "iso-ir-126",
                "greek",
                "greek8",
                "elot_928",
                "ecma-118",
                "csisolatingreek",
                "sun_eu_greek",
            ],
            Self::Iso8859_15 => &[
                "iso-8859-15",
                "iso8859-15",
                "iso885915",
                "iso_8859-15",
                "latin9",
                "latin-9",
                "l9",
                "csisolatin9",
            ],
            Self::Windows1250 => &["windows-1250", "cp1250", "x-cp1250"],
            Self::Windows1251 => &["windows-1251", "cp1251", "x-cp1251"],
            Self::Windows1252 => &["windows-1252", "cp1252", "x-cp1252"],
            Self::Windows1253 => &["windows-1253", "cp1253", "x-cp1253"],
            Self::Windows1254 => &[
                "windows-1254",
                "cp1254",
                "x-cp1254",
                "iso-8859-9",
                "iso8859-9",
                "iso88599",
                "iso_8859-9",
                "iso_8859-9:1989",
                "iso-ir-148",
                "latin5",
                "latin-5",
                "l5",
                "csisolatin5",
            ],
            Self::Windows1257 => &["windows-1257", "cp1257", "x-cp1257"],
        }
    }

    /// The table of an encoding whose characters are single bytes.
    fn table(self) -> Option<&'static Table> {
        match self {
            Self::Utf8 | Self::Utf16 | Self::Utf16Le | Self::Utf16Be => None,
            Self::Iso8859_1 | Self::Windows1252 => Some(&WINDOWS_1252),
            Self::Iso8859_2 => Some(&ISO_8859_2),
            Self::Iso8859_5 => Some(&ISO_8859_5),
            Self::Iso8859_7 => Some(&ISO_8859_7),
            Self::Iso8859_15 => Some(&ISO_8859_15),
            Self::Windows1250 => Some(&WINDOWS_1250),
            Self::Windows1251 => Some(&WINDOWS_1251),
            Self::Windows1253 => Some(&WINDOWS_1253),
            Self::Windows1254 => Some(&WINDOWS_1254),
            Self::Windows1257 => Some(&WINDOWS_1257),
        }
    }

    /// The text of `bytes`, borrowed where they are UTF-8 already. A byte order mark of UTF-16 is no part of it.
    ///
    /// # Errors
    /// [`Undecodable::Byte`] and [`Undecodable::Order`].
    pub fn text(self, bytes: &[u8]) -> Result<Cow<'_, str>, Undecodable> {
        let wide = |big_endian: bool, from: usize| utf16(&bytes[from..], big_endian, from).map(Cow::Owned);
        match (self, bytes) {
            (Self::Utf8, _) => match str::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(error) => Err(Undecodable::Byte { encoding: self, at: error.valid_up_to() }),
            },
            (Self::Utf16 | Self::Utf16Le, [0xff, 0xfe, ..]) => wide(false, 2),
            (Self::Utf16 | Self::Utf16Be, [0xfe, 0xff, ..]) => wide(true, 2),
            (Self::Utf16, _) => Err(Undecodable::Order),
            (Self::Utf16Le, _) => wide(false, 0),
            (Self::Utf16Be, _) => wide(true, 0),
            _ => self.table().map_or(Err(Undecodable::Byte { encoding: self, at: 0 }), |table| {
                if bytes.is_ascii() {
                    return Ok(String::from_utf8_lossy(bytes));
                }
                let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
                for (at, byte) in bytes.iter().enumerate() {
                    match one(table, *byte) {
                        Some(character) => text.push(character),
                        None => return Err(Undecodable::Byte { encoding: self, at }),
                    }
                }
                Ok(Cow::Owned(text))
            }),
        }
    }

    /// As [`Encoding::text`], with a character for private use for every single byte that has none:
    /// only to find out which message it is, before it is kept. Two files that differ stay different.
    /// Nothing where what cannot be decoded is not a single byte.
    #[must_use]
    pub fn lossy(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match (self.text(bytes), self.table()) {
            (Ok(text), _) => Some(text),
            (Err(_), Some(table)) => Some(Cow::Owned(
                bytes.iter().map(|byte| one(table, *byte).unwrap_or_else(|| private(*byte))).collect(),
            )),
            (Err(_), None) => None,
        }
    }

    /// `text` in this encoding; nothing when it has a character that the encoding has not. UTF-16 begins with its mark.
    #[must_use]
    pub fn bytes(self, text: &str) -> Option<Vec<u8>> {
        let wide = |mark: &str, order: fn(u16) -> [u8; 2]| {
            Some(mark.encode_utf16().chain(text.encode_utf16()).flat_map(order).collect())
        };
        match (self, self.table()) {
            (Self::Utf16, _) => wide("\u{feff}", u16::to_le_bytes),
            (Self::Utf16Le, _) => wide("", u16::to_le_bytes),
            (Self::Utf16Be, _) => wide("", u16::to_be_bytes),
            (_, None) => Some(text.as_bytes().to_vec()),
            (_, Some(table)) => text
                .chars()
                .map(|character| {
                    let code = u32::from(character);
                    let high = || table.iter().position(|known| *known != 0 && u32::from(*known) == code);
                    match u8::try_from(code) {
                        Ok(byte) if byte < 0x80 => Some(byte),
                        _ => u8::try_from(high()? + 0x80).ok(),
                    }
                })
                .collect(),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn one(table: &Table, byte: u8) -> Option<char> {
    if byte < 0x80 {
        return Some(char::from(byte));
    }
    match table[usize::from(byte - 0x80)] {
        0 => None,
        code => char::from_u32(u32::from(code)),
    }
}

fn private(byte: u8) -> char {
    char::from_u32(0xf700 + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// `before` bytes stand before these.
fn utf16(bytes: &[u8], big_endian: bool, before: usize) -> Result<String, Undecodable> {
    let encoding = if big_endian { Encoding::Utf16Be } else { Encoding::Utf16Le };
    let fault = |at: usize| Undecodable::Byte { encoding, at: before + at };
    let pairs = bytes.as_chunks::<2>().0;
    let units = pairs.iter().map(|pair| match big_endian {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    });
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    for character in char::decode_utf16(units) {
        let character = character.map_err(|_| fault(at))?;
        at += 2 * character.len_utf16();
        text.push(character);
    }
    if at < bytes.len() { Err(fault(at)) } else { Ok(text) }
}

/// Why bytes are no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecodable {
    /// A byte that has no character in the encoding, or the first of several that together have none.
    Byte {
        /// In which they were read.
        encoding: Encoding,
        /// Offset of the byte, from 0.
        at: usize,
    },
    /// `utf-16` without the mark that says its order.
    Order,
    /// Two statements about the encoding, by which the bytes are different texts.
    Contradicted {
        /// What should hold.
        encoding: Encoding,
        /// Who says so.
        by: Statement,
        /// What the bytes can be read as too.
        other: Encoding,
        /// Who says that.
        other_by: Statement,
    },
    /// A `charset` that is not known, over bytes that are not ASCII.
    Charset(String),
}

/// Who says what the encoding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// `encoding` in `[text]`.
    Contract,
    /// `charset` of the content type.
    Sender,
    /// Sequences of bytes that hardly anything but UTF-8 has.
    Bytes,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contract => "the contract",
            Self::Sender => "the charset of the content type",
            Self::Bytes => "every sequence of its bytes beyond ASCII",
        })
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { encoding, at } => write!(f, "the byte at offset {at} is no {encoding}"),
            Self::Order => f.write_str(
                "utf-16 without a byte order mark: declare utf-16le or utf-16be as encoding in [text] of the contract",
            ),
            Self::Contradicted { encoding, by, other, other_by } => write!(
                f,
                "{by} says {encoding}, {other_by} says {other}, and the bytes are another text by each: declare as encoding in [text] of the contract what the sender writes, and have the sender state that or nothing"
            ),
            Self::Charset(label) => write!(
                f,
                "the charset {label:?} of the content type is not known: declare encoding in [text] of the contract"
            ),
        }
    }
}

impl std::error::Error for Undecodable {}

/// The encoding that the bytes themselves say, by a byte order mark.
#[must_use]
pub fn marked(bytes: &[u8]) -> Option<Encoding> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some(Encoding::Utf8),
        [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
        [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// The encoding in which `bytes` are to be read: that of their byte order mark, else the `declared` one, else the one of the
/// `charset` that the sender states, else UTF-8.
///
/// # Errors
/// [`Undecodable::Charset`].
pub fn choose(
    bytes: &[u8],
    declared: Option<Encoding>,
    charset: Option<&str>,
) -> Result<Encoding, Undecodable> {
    if let Some(encoding) = marked(bytes).or(declared) {
        return Ok(encoding);
    }
    match charset.map(|label| (label, Encoding::of_label(label))) {
        None => Ok(Encoding::Utf8),
        Some((_, Some(encoding))) => Ok(encoding),
        // Every encoding that HTTP knows has ASCII.
        Some((_, None)) if bytes.is_ascii() => Ok(Encoding::Utf8),
        Some((label, None)) => Err(Undecodable::Charset(label.chars().take(40).collect())),
    }
}

/// The text of `bytes`, in the encoding that [`choose`] gives. Nothing is decoded by a statement that another one contradicts:
/// a `charset` by which the same bytes are a different text, or a single-byte encoding of what is UTF-8 beyond ASCII.
///
/// # Errors
/// [`Undecodable`].
pub fn decode<'b>(
    bytes: &'b [u8],
    declared: Option<Encoding>,
    charset: Option<&str>,
) -> Result<Cow<'b, str>, Undecodable> {
    let encoding = choose(bytes, declared, charset)?;
    let text = encoding.text(bytes)?;
    if marked(bytes).is_some() || bytes.is_ascii() && encoding.table().is_some() {
        return Ok(text);
    }
    let by = if declared.is_some() { Statement::Contract } else { Statement::Sender };
    let contradicted = |other: Encoding, other_by: Statement| {
        let differs = other != encoding && other.text(bytes).is_ok_and(|theirs| theirs != text);
        differs.then_some(Undecodable::Contradicted { encoding, by, other, other_by })
    };
    let stated =
        charset.and_then(Encoding::of_label).and_then(|other| contradicted(other, Statement::Sender));
    let seen = || encoding.table().and_then(|_| contradicted(Encoding::Utf8, Statement::Bytes));
    match stated.or_else(seen) {
        Some(contradiction) => Err(contradiction),
        None => Ok(text),
    }
}

// The mappings of unicode.org/Public/MAPPINGS (ISO8859 and VENDORS/MICSFT/WINDOWS), without the control characters from 0x80 to
// 0x9f that ISO 8859 has.
#[rustfmt::skip]
const WINDOWS_1250: Table = [
    0x20ac, 0x0000, 0x201a, 0x0000, 0x201e, 0x2026, 0x2020, 0x2021, 0x0000, 0x2030, 0x0160, 0x2039,
    0x015a, 0x0164, 0x017d, 0x0179, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x0000, 0x2122, 0x0161, 0x203a, 0x015b, 0x0165, 0x017e, 0x017a, 0x00a0, 0x02c7, 0x02d8, 0x0141,
    0x00a4, 0x0104, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x015e, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x017b,
    0x00b0, 0x00b1, 0x02db, 0x0142, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00b8, 0x0105, 0x015f, 0x00bb,
    0x013d, 0x02dd, 0x013e, 0x017c, 0x0154, 0x00c1, 0x00c2, 0x0102, 0x00c4, 0x0139, 0x0106, 0x00c7,
    0x010c, 0x00c9, 0x0118, 0x00cb, 0x011a, 0x00cd, 0x00ce, 0x010e, 0x0110, 0x0143, 0x0147, 0x00d3,
    0x00d4, 0x0150, 0x00d6, 0x00d7, 0x0158, 0x016e, 0x00da, 0x0170, 0x00dc, 0x00dd, 0x0162, 0x00df,
    0x0155, 0x00e1, 0x00e2, 0x0103, 0x00e4, 0x013a, 0x0107, 0x00e7, 0x010d, 0x00e9, 0x0119, 0x00eb,
    0x011b, 0x00ed, 0x00ee, 0x010f, 0x0111, 0x0144, 0x0148, 0x00f3, 0x00f4, 0x0151, 0x00f6, 0x00f7,
    0x0159, 0x016f, 0x00fa, 0x0171, 0x00fc, 0x00fd, 0x0163, 0x02d9,
];
#[rustfmt::skip]
const WINDOWS_1251: Table = [
    0x0402, 0x0403, 0x201a, 0x0453, 0x201e, 0x2026, 0x2020, 0x2021, 0x20ac, 0x2030, 0x0409, 0x2039,
    0x040a, 0x040c, 0x040b, 0x040f, 0x0452, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x0000, 0x2122, 0x0459, 0x203a, 0x045a, 0x045c, 0x045b, 0x045f, 0x00a0, 0x040e, 0x045e, 0x0408,
    0x00a4, 0x0490, 0x00a6, 0x00a7, 0x0401, 0x00a9, 0x0404, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x0407,
    0x00b0, 0x00b1, 0x0406, 0x0456, 0x0491, 0x00b5, 0x00b6, 0x00b7, 0x0451, 0x2116, 0x0454, 0x00bb,
    0x0458, 0x0405, 0x0455, 0x0457, 0x0410, 0x0411, 0x0412, 0x0413, 0x0414, 0x0415, 0x0416, 0x0417,
    0x0418, 0x0419, 0x041a, 0x041b, 0x041c, 0x041d, 0x041e, 0x041f, 0x0420, 0x0421, 0x0422, 0x0423,
    0x0424, 0x0425, 0x0426, 0x0427, 0x0428, 0x0429, 0x042a, 0x042b, 0x042c, 0x042d, 0x042e, 0x042f,
    0x0430, 0x0431, 0x0432, 0x0433, 0x0434, 0x0435, 0x0436, 0x0437, 0x0438, 0x0439, 0x043a, 0x043b,
    0x043c, 0x043d, 0x043e, 0x043f, 0x0440, 0x0441, 0x0442, 0x0443, 0x0444, 0x0445, 0x0446, 0x0447,
    0x0448, 0x0449, 0x044a, 0x044b, 0x044c, 0x044d, 0x044e, 0x044f,
];
#[rustfmt::skip]
const WINDOWS_1252: Table = [
    0x20ac, 0x0000, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039,
    0x0152, 0x0000, 0x017d, 0x0000, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x0000, 0x017e, 0x0178, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x00a4, 0x00a5, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00b8, 0x00b9, 0x00ba, 0x00bb,
    0x00bc, 0x00bd, 0x00be, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x00d0, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x00dd, 0x00de, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x00f0, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x00fd, 0x00fe, 0x00ff,
];
#[rustfmt::skip]
const WINDOWS_1253: Table = [
    0x20ac, 0x0000, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x0000, 0x2030, 0x0000, 0x2039,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x0000, 0x2122, 0x0000, 0x203a, 0x0000, 0x0000, 0x0000, 0x0000, 0x00a0, 0x0385, 0x0386, 0x00a3,
    0x00a4, 0x00a5, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x0000, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x2015,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x0384, 0x00b5, 0x00b6, 0x00b7, 0x0388, 0x0389, 0x038a, 0x00bb,
    0x038c, 0x00bd, 0x038e, 0x038f, 0x0390, 0x0391, 0x0392, 0x0393, 0x0394, 0x0395, 0x0396, 0x0397,
    0x0398, 0x0399, 0x039a, 0x039b, 0x039c, 0x039d, 0x039e, 0x039f, 0x03a0, 0x03a1, 0x0000, 0x03a3,
    0x03a4, 0x03a5, 0x03a6, 0x03a7, 0x03a8, 0x03a9, 0x03aa, 0x03ab, 0x03ac, 0x03ad, 0x03ae, 0x03af,
    0x03b0, 0x03b1, 0x03b2, 0x03b3, 0x03b4, 0x03b5, 0x03b6, 0x03b7, 0x03b8, 0x03b9, 0x03ba, 0x03bb,
    0x03bc, 0x03bd, 0x03be, 0x03bf, 0x03c0, 0x03c1, 0x03c2, 0x03c3, 0x03c4, 0x03c5, 0x03c6, 0x03c7,
    0x03c8, 0x03c9, 0x03ca, 0x03cb, 0x03cc, 0x03cd, 0x03ce, 0x0000,
];
#[rustfmt::skip]
const WINDOWS_1254: Table = [
    0x20ac, 0x0000, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039,
    0x0152, 0x0000, 0x0000, 0x0000, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x0000, 0x0000, 0x0178, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x00a4, 0x00a5, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00b8, 0x00b9, 0x00ba, 0x00bb,
    0x00bc, 0x00bd, 0x00be, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x011e, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x0130, 0x015e, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x011f, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x0131, 0x015f, 0x00ff,
];
#[rustfmt::skip]
const WINDOWS_1257: Table = [
    0x20ac, 0x0000, 0x201a, 0x0000, 0x201e, 0x2026, 0x2020, 0x2021, 0x0000, 0x2030, 0x0000, 0x2039,
    0x0000, 0x00a8, 0x02c7, 0x00b8, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x0000, 0x2122, 0x0000, 0x203a, 0x0000, 0x00af, 0x02db, 0x0000, 0x00a0, 0x0000, 0x00a2, 0x00a3,
    0x00a4, 0x0000, 0x00a6, 0x00a7, 0x00d8, 0x00a9, 0x0156, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00c6,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00f8, 0x00b9, 0x0157, 0x00bb,
    0x00bc, 0x00bd, 0x00be, 0x00e6, 0x0104, 0x012e, 0x0100, 0x0106, 0x00c4, 0x00c5, 0x0118, 0x0112,
    0x010c, 0x00c9, 0x0179, 0x0116, 0x0122, 0x0136, 0x012a, 0x013b, 0x0160, 0x0143, 0x0145, 0x00d3,
    0x014c, 0x00d5, 0x00d6, 0x00d7, 0x0172, 0x0141, 0x015a, 0x016a, 0x00dc, 0x017b, 0x017d, 0x00df,
    0x0105, 0x012f, 0x0101, 0x0107, 0x00e4, 0x00e5, 0x0119, 0x0113, 0x010d, 0x00e9, 0x017a, 0x0117,
    0x0123, 0x0137, 0x012b, 0x013c, 0x0161, 0x0144, 0x0146, 0x00f3, 0x014d, 0x00f5, 0x00f6, 0x00f7,
    0x0173, 0x0142, 0x015b, 0x016b, 0x00fc, 0x017c, 0x017e, 0x02d9,
];
#[rustfmt::skip]
const ISO_8859_2: Table = [
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x00a0, 0x0104, 0x02d8, 0x0141,
    0x00a4, 0x013d, 0x015a, 0x00a7, 0x00a8, 0x0160, 0x015e, 0x0164, 0x0179, 0x00ad, 0x017d, 0x017b,
    0x00b0, 0x0105, 0x02db, 0x0142, 0x00b4, 0x013e, 0x015b, 0x02c7, 0x00b8, 0x0161, 0x015f, 0x0165,
    0x017a, 0x02dd, 0x017e, 0x017c, 0x0154, 0x00c1, 0x00c2, 0x0102, 0x00c4, 0x0139, 0x0106, 0x00c7,
    0x010c, 0x00c9, 0x0118, 0x00cb, 0x011a, 0x00cd, 0x00ce, 0x010e, 0x0110, 0x0143, 0x0147, 0x00d3,
    0x00d4, 0x0150, 0x00d6, 0x00d7, 0x0158, 0x016e, 0x00da, 0x0170, 0x00dc, 0x00dd, 0x0162, 0x00df,
    0x0155, 0x00e1, 0x00e2, 0x0103, 0x00e4, 0x013a, 0x0107, 0x00e7, 0x010d, 0x00e9, 0x0119, 0x00eb,
    0x011b, 0x00ed, 0x00ee, 0x010f, 0x0111, 0x0144, 0x0148, 0x00f3, 0x00f4, 0x0151, 0x00f6, 0x00f7,
    0x0159, 0x016f, 0x00fa, 0x0171, 0x00fc, 0x00fd, 0x0163, 0x02d9,
];
#[rustfmt::skip]
const ISO_8859_5: Table = [
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x00a0, 0x0401, 0x0402, 0x0403,
    0x0404, 0x0405, 0x0406, 0x0407, 0x0408, 0x0409, 0x040a, 0x040b, 0x040c, 0x00ad, 0x040e, 0x040f,
    0x0410, 0x0411, 0x0412, 0x0413, 0x0414, 0x0415, 0x0416, 0x0417, 0x0418, 0x0419, 0x041a, 0x041b,
    0x041c, 0x041d, 0x041e, 0x041f, 0x0420, 0x0421, 0x0422, 0x0423, 0x0424, 0x0425, 0x0426, 0x0427,
    0x0428, 0x0429, 0x042a, 0x042b, 0x042c, 0x042d, 0x042e, 0x042f, 0x0430, 0x0431, 0x0432, 0x0433,
    0x0434, 0x0435, 0x0436, 0x0437, 0x0438, 0x0439, 0x043a, 0x043b, 0x043c, 0x043d, 0x043e, 0x043f,
    0x0440, 0x0441, 0x0442, 0x0443, 0x0444, 0x0445, 0x0446, 0x0447, 0x0448, 0x0449, 0x044a, 0x044b,
    0x044c, 0x044d, 0x044e, 0x044f, 0x2116, 0x0451, 0x0452, 0x0453, 0x0454, 0x0455, 0x0456, 0x0457,
    0x0458, 0x0459, 0x045a, 0x045b, 0x045c, 0x00a7, 0x045e, 0x045f,
];
#[rustfmt::skip]
const ISO_8859_7: Table = [
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x00a0, 0x2018, 0x2019, 0x00a3,
    0x20ac, 0x20af, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x037a, 0x00ab, 0x00ac, 0x00ad, 0x0000, 0x2015,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x0384, 0x0385, 0x0386, 0x00b7, 0x0388, 0x0389, 0x038a, 0x00bb,
    0x038c, 0x00bd, 0x038e, 0x038f, 0x0390, 0x0391, 0x0392, 0x0393, 0x0394, 0x0395, 0x0396, 0x0397,
    0x0398, 0x0399, 0x039a, 0x039b, 0x039c, 0x039d, 0x039e, 0x039f, 0x03a0, 0x03a1, 0x0000, 0x03a3,
    0x03a4, 0x03a5, 0x03a6, 0x03a7, 0x03a8, 0x03a9, 0x03aa, 0x03ab, 0x03ac, 0x03ad, 0x03ae, 0x03af,
    0x03b0, 0x03b1, 0x03b2, 0x03b3, 0x03b4, 0x03b5, 0x03b6, 0x03b7, 0x03b8, 0x03b9, 0x03ba, 0x03bb,
    0x03bc, 0x03bd, 0x03be, 0x03bf, 0x03c0, 0x03c1, 0x03c2, 0x03c3, 0x03c4, 0x03c5, 0x03c6, 0x03c7,
    0x03c8, 0x03c9, 0x03ca, 0x03cb, 0x03cc, 0x03cd, 0x03ce, 0x0000,
];
#[rustfmt::skip]
const ISO_8859_15: Table = [
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000,
    0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x20ac, 0x00a5, 0x0160, 0x00a7, 0x0161, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x017d, 0x00b5, 0x00b6, 0x00b7, 0x017e, 0x00b9, 0x00ba, 0x00bb,
    0x0152, 0x0153, 0x0178, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x00d0, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x00dd, 0x00de, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x00f0, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x00fd, 0x00fe, 0x00ff,
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;

    #[test]
    fn labels_are_those_that_senders_write() {
        for (label, expected) in [
            ("utf8", Encoding::Utf8),
            (" UTF-8 ", Encoding::Utf8),
            ("Latin1", Encoding::Iso8859_1),
            ("us-ascii", Encoding::Iso8859_1),
            ("ISO-8859-15", Encoding::Iso8859_15),
            ("CP1252", Encoding::Windows1252),
            ("iso-8859-9", Encoding::Windows1254),
            ("utf-16", Encoding::Utf16),
            ("UTF-16BE", Encoding::Utf16Be),
        ] {
            assert_eq!(Encoding::of_label(label), Some(expected), "{label}");
        }
        for unknown in ["", "utf-7", "shift_jis", "binary", "utf-8;"] {
            assert_eq!(Encoding::of_label(unknown), None, "{unknown}");
        }
        let mut labels: Vec<&str> = Encoding::ALL.iter().flat_map(|one| one.labels()).copied().collect();
        let all = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), all, "a label is of one encoding");
    }

    #[test]
    fn every_encoding_has_its_own_letters() {
        for (encoding, bytes, expected) in [
            (Encoding::Utf8, "Größe".as_bytes(), "Größe"),
            (Encoding::Iso8859_1, b"Gr\xf6\xdfe \x80", "Größe €"),
            (Encoding::Iso8859_2, b"\xb3\xf3d\xbc", "łódź"),
            (Encoding::Iso8859_5, b"\xc1\xda\xdb\xd0\xd4", "Склад"),
            (Encoding::Iso8859_7, b"\xcc\xdf\xea\xef\xf2", "Μίκος"),
            (Encoding::Iso8859_15, b"12 \xa4 c\xbdur", "12 € cœur"),
            (Encoding::Windows1250, b"\xb3\xf3d\x9f", "łódź"),
            (Encoding::Windows1251, b"\xd1\xea\xeb\xe0\xe4", "Склад"),
            (Encoding::Windows1252, b"caf\xe9 \x9312\x94 \x80", "café “12” €"),
            (Encoding::Windows1253, b"\xcc\xdf\xea\xef\xf2", "Μίκος"),
            (Encoding::Windows1254, b"\xfe\xfd\xf0", "şığ"),
            (Encoding::Windows1257, b"\xe0\xf0\xfe", "ąšž"),
            (Encoding::Utf16, b"\xff\xfe\xe4\0\x3d\xd8\xa6\xdc", "ä💦"),
            (Encoding::Utf16, b"\xfe\xff\0\xe4\xd8\x3d\xdc\xa6", "ä💦"),
            (Encoding::Utf16Le, b"\xe4\0", "ä"),
            (Encoding::Utf16Be, b"\0\xe4", "ä"),
            (Encoding::Utf16Be, b"", ""),
        ] {
            assert_eq!(encoding.text(bytes).as_deref(), Ok(expected), "{encoding}");
            assert_eq!(encoding.lossy(bytes).as_deref(), Some(expected), "{encoding}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_named_with_its_offset() {
        for (encoding, bytes, at) in [
            (Encoding::Utf8, &b"ab\xff"[..], 2),
            (Encoding::Windows1252, b"a\x81", 1),
            (Encoding::Iso8859_1, b"\x9d", 0),
            (Encoding::Iso8859_2, b"abc\x85", 3),
            (Encoding::Utf16Le, b"a\0b", 2),
            (Encoding::Utf16Le, b"a\0\x3d\xd8b\0", 2),
            (Encoding::Utf16, b"\xff\xfea\0\0\xdc", 4),
        ] {
            let fault = encoding.text(bytes).unwrap_err();
            assert!(fault.to_string().contains(&format!("offset {at} ")), "{encoding} {bytes:?}: {fault}");
        }
        assert_eq!(Encoding::Utf16.text(b"a\0"), Err(Undecodable::Order));
        assert_eq!(Encoding::Windows1252.lossy(b"a\x81\xe4").as_deref(), Some("a\u{f781}ä"));
        assert_eq!(Encoding::Utf16Le.lossy(b"\xe4\0\xe4"), None, "not the same as another");
    }

    #[test]
    fn one_statement_holds_and_a_contradiction_is_refused() {
        use Encoding::{Utf8, Utf16, Utf16Le, Windows1252};
        let umlaut = b"\xe4";
        let utf8 = "ä".as_bytes();
        // What is declared holds; what is stated does when nothing is declared.
        assert_eq!(decode(umlaut, Some(Windows1252), None).unwrap(), "ä");
        assert_eq!(decode(umlaut, None, Some("windows-1252")).unwrap(), "ä");
        assert_eq!(decode(utf8, None, None).unwrap(), "ä");
        // A statement that is not true of the bytes contradicts nothing.
        assert_eq!(decode(umlaut, Some(Windows1252), Some("utf-8")).unwrap(), "ä");
        // Nor does one by which they are the same text.
        assert_eq!(decode(umlaut, Some(Windows1252), Some("iso-8859-15")).unwrap(), "ä");
        assert_eq!(decode(b"abc", Some(Windows1252), Some("utf-8")).unwrap(), "abc");
        assert_eq!(decode(b"abc", None, Some("x-unknown")).unwrap(), "abc");
        // A byte order mark is the file's own word.
        assert_eq!(decode(b"\xff\xfe\xe4\0", Some(Windows1252), Some("utf-8")).unwrap(), "ä");
        assert_eq!(decode(b"\xef\xbb\xbf\xc3\xa4", Some(Windows1252), None).unwrap(), "\u{feff}ä");
        assert_eq!(decode(b"\xfe\xff\0\xe4", None, Some("utf-16")).unwrap(), "ä");
        for (bytes, declared, charset) in [
            (&b"\xa4"[..], Some(Windows1252), Some("iso-8859-15")),
            (utf8, Some(Windows1252), None),
            (utf8, None, Some("iso-8859-1")),
            (utf8, None, Some("us-ascii")),
            (utf8, Some(Utf8), Some("windows-1252")),
            (b"a\0", Some(Utf16Le), Some("utf-16be")),
        ] {
            let refused = decode(bytes, declared, charset);
            assert!(
                matches!(refused, Err(Undecodable::Contradicted { .. })),
                "{bytes:?} {charset:?}: {refused:?}"
            );
        }
        assert_eq!(decode(umlaut, None, Some("utf-7")), Err(Undecodable::Charset("utf-7".into())));
        assert_eq!(decode(b"a\0", Some(Utf16), None), Err(Undecodable::Order));
        assert!(matches!(decode(umlaut, None, None), Err(Undecodable::Byte { at: 0, .. })));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for encoding in Encoding::ALL {
            for code in 0..0x3000 {
                let Some(text) = char::from_u32(code).map(String::from) else { continue };
                let Some(bytes) = encoding.bytes(&text) else { continue };
                assert_eq!(encoding.text(&bytes).as_deref(), Ok(&*text), "{encoding} {code:x}");
            }
            assert_eq!(Encoding::of_label(encoding.as_str()), Some(encoding));
        }
        assert_eq!(Encoding::Windows1252.bytes("ł"), None);
    }

    #[test]
    fn no_bytes_panic() {
        for seed in 0..2_000_u32 {
            let length = seed % 9;
            let bytes: Vec<u8> = (0..length)
                .map(|at| u8::try_from(seed.wrapping_mul(2_654_435_761).rotate_left(at * 5) & 0xff).unwrap())
                .collect();
            for encoding in Encoding::ALL {
                let _ = encoding.lossy(&bytes);
                let _ = decode(&bytes, Some(encoding), Some("utf-16le"));
            }
        }
    }
}
