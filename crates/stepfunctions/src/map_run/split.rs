//! Takes the text of an object apart into its items, piece by piece as it arrives.
//!
//! An item is known by where it begins, so that reading can go on from any item. What an item holds is not looked at
//! here: whatever is between two lines, or two commas of the array, is an item, and its reader says if it is no JSON.

use sluice_asl::InputType;

/// The largest item, in bytes (8 MiB). A child's input is far smaller; an `ItemSelector` may make it so.
pub(super) const ITEM_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An item's text and where the text after it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t [u8],
    pub(super) next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the array's bracket.
    Begin,
    /// Where an item, or the end of an empty array, may be.
    First,
    /// Where an item must be.
    Item,
    /// After an item.
    Between,
    /// After the array.
    End,
}

/// The state of taking apart.
#[derive(Debug)]
pub(super) struct Splitter {
    input_type: InputType,
    /// What has arrived and is not taken yet begins at `taken`.
    buffer: Vec<u8>,
    taken: usize,
    /// Where the buffer begins in the object.
    offset: u64,
    /// The object has been given to its end.
    whole: bool,
    at: At,
    /// How far the item at `taken` has been looked at, and what was found.
    scan: Scan,
}

#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    looked: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Splitter {
    /// Takes apart what begins at `offset`: 0, or the place of an item.
    pub(super) fn new(input_type: InputType, offset: u64) -> Self {
        let at = match (input_type, offset) {
            (InputType::Json, 0) => At::Begin,
            // Where an item ended, too: the comma after it is passed over.
            (InputType::Json, _) => At::Between,
            (InputType::JsonLines, _) => At::Item,
        };
        Splitter { input_type, buffer: Vec::new(), taken: 0, offset, whole: false, at, scan: Scan::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.offset += self.taken as u64;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self) {
        self.whole = true;
    }

    /// The next item; `None` if more text is needed, or there is none.
    ///
    /// # Errors
    /// What is wrong, a fragment with the offset.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>, String> {
        match self.input_type {
            InputType::JsonLines => self.next_line(),
            InputType::Json => self.next_element(),
        }
    }

    fn next_line(&mut self) -> Result<Option<Piece<'_>>, String> {
        loop {
            let rest = &self.buffer[self.taken..];
            let end = rest[self.scan.looked..].iter().position(|&byte| byte == b'\n');
            let (length, after) = match end {
                Some(end) => (self.scan.looked + end, self.scan.looked + end + 1),
                None if self.whole => (rest.len(), rest.len()),
                None => {
                    self.scan.looked = rest.len();
                    self.check_length(rest.len())?;
                    return Ok(None);
                }
            };
            self.check_length(length)?;
            let begin = self.taken;
            self.taken += after;
            self.scan = Scan::default();
            if self.buffer[begin..begin + length].iter().all(u8::is_ascii_whitespace) {
                if end.is_none() {
                    return Ok(None);
                }
                continue;
            }
            let next = self.offset + self.taken as u64;
            return Ok(Some(Piece { text: self.buffer[begin..begin + length].trim_ascii(), next }));
        }
    }

    fn next_element(&mut self) -> Result<Option<Piece<'_>>, String> {
        loop {
            if self.scan.looked == 0 {
                let spaces = self.buffer[self.taken..].iter().take_while(|byte| byte.is_ascii_whitespace());
                self.taken += spaces.count();
            }
            let Some(&byte) = self.buffer.get(self.taken) else {
                return match self.at {
                    At::End => Ok(None),
                    _ if self.whole => Err(format!("the array does not end, at byte {}", self.place())),
                    _ => Ok(None),
                };
            };
            match (self.at, byte) {
                (At::Begin, b'[') => self.pass(At::First),
                (At::Begin, _) => return Err("it is not a JSON array".to_owned()),
                (At::First | At::Between, b']') => self.pass(At::End),
                (At::Between, b',') => self.pass(At::Item),
                (At::Between, _) => return Err(format!("expected ',' or ']' at byte {}", self.place())),
                (At::End, _) => {
                    return Err(format!("there is more after the array, at byte {}", self.place()));
                }
                (At::First | At::Item, _) => {
                    let Some(length) = self.element()? else { return Ok(None) };
                    if length == 0 {
                        return Err(format!("expected an item at byte {}", self.place()));
                    }
                    let begin = self.taken;
                    self.taken += length;
                    self.scan = Scan::default();
                    self.at = At::Between;
                    let next = self.offset + self.taken as u64;
                    return Ok(Some(Piece { text: self.buffer[begin..begin + length].trim_ascii(), next }));
                }
            }
        }
    }

    fn pass(&mut self, at: At) {
        self.taken += 1;
        self.at = at;
    }

    /// The length of the element at `taken`, once its end is there.
    fn element(&mut self) -> Result<Option<usize>, String> {
        let rest = &self.buffer[self.taken..];
        let Scan { mut looked, mut depth, mut in_text, mut escaped } = self.scan;
        while let Some(&byte) = rest.get(looked) {
            if in_text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_text = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => in_text = true,
                    b'[' | b'{' => depth += 1,
                    b',' if depth == 0 => return Ok(Some(looked)),
                    b']' | b'}' if depth == 0 => return Ok(Some(looked)),
                    b']' | b'}' => depth -= 1,
                    _ => {}
                }
            }
            looked += 1;
        }
        self.scan = Scan { looked, depth, in_text, escaped };
        self.check_length(looked)?;
        if self.whole {
            return Err(format!("the array does not end, at byte {}", self.place()));
        }
        Ok(None)
    }

    fn check_length(&self, length: usize) -> Result<(), String> {
        if length <= ITEM_BYTES_MAX {
            return Ok(());
        }
        Err(format!("the item at byte {} has more than {ITEM_BYTES_MAX} bytes", self.place()))
    }

    fn place(&self) -> u64 {
        self.offset + self.taken as u64
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// All items of a text that arrives in chunks, with the place after each.
    fn split(
        input_type: InputType,
        text: &str,
        chunk: usize,
        from: u64,
    ) -> Result<Vec<(String, u64)>, String> {
        let mut splitter = Splitter::new(input_type, from);
        let mut items = Vec::new();
        let mut chunks = text.as_bytes()[usize::try_from(from).unwrap()..].chunks(chunk);
        loop {
            while let Some(piece) = splitter.next()? {
                items.push((String::from_utf8(piece.text.to_vec()).unwrap(), piece.next));
            }
            match chunks.next() {
                Some(chunk) => splitter.push(chunk),
                None if splitter.whole => return Ok(items),
                None => splitter.finish(),
            }
        }
    }

    #[test]
    fn however_it_arrives_and_wherever_reading_begins_the_items_are_the_same() {
        let lines = "{\"a\": \"x\\ny\"}\r\n\n  \n2\n\"three\"\n[4]";
        let array = " [ {\"a\": \"],[\\\"}\"} , [1, [2]],3 ,\"four, \\\\\", null]\n ";
        for (input_type, text, count) in [(InputType::JsonLines, lines, 4), (InputType::Json, array, 5)] {
            let whole = split(input_type, text, text.len(), 0).unwrap();
            assert_eq!(whole.len(), count, "{whole:?}");
            for chunk in 1..text.len() {
                assert_eq!(split(input_type, text, chunk, 0).unwrap(), whole, "{chunk}");
            }
            for (index, (_, next)) in whole.iter().enumerate() {
                assert_eq!(split(input_type, text, 3, *next).unwrap(), whole[index + 1..], "from {next}");
            }
        }
        assert_eq!(split(InputType::JsonLines, "", 1, 0).unwrap(), []);
        assert_eq!(split(InputType::Json, "[]", 1, 0).unwrap(), []);
    }

    #[test]
    fn what_is_no_array_is_refused_with_its_place() {
        for (text, why) in [
            ("{}", "it is not a JSON array"),
            ("", "the array does not end, at byte 0"),
            ("[1, 2", "the array does not end, at byte 4"),
            ("[1 2", "the array does not end, at byte 1"),
            ("[1,]", "expected an item at byte 3"),
            ("[1}", "expected ',' or ']' at byte 2"),
            ("[] 1", "there is more after the array, at byte 3"),
        ] {
            assert_eq!(split(InputType::Json, text, 1, 0).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn an_endless_item_is_refused() {
        let text = format!("[\"{}", "x".repeat(ITEM_BYTES_MAX + 10));
        for input_type in [InputType::Json, InputType::JsonLines] {
            let refused = split(input_type, &text, 1 << 20, 0).unwrap_err();
            assert!(refused.contains("more than 8388608 bytes"), "{refused}");
        }
    }
}
