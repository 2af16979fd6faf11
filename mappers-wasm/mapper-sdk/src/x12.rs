//! ASC X12 interchanges (EDI): envelopes, segments, elements.
//!
//! The separators are read from `ISA`, whose length is fixed. Control numbers and counts of `ISA`/`IEA`, `GS`/`GE` and
//! `ST`/`SE` are checked before a mapper sees a segment, so that a file that was cut off or glued together is refused and
//! not half read. Source: ASC X12.5 (interchange control) and X12.6 (syntax), release 004010.
//!
//! Invariants: nothing is copied; segments are numbered from 1 (`ISA`) in the order of the file, and a refusal names the
//! segment and the element, as in `/12/LIN03`.

use std::rc::Rc;

use crate::MapError;

/// Length of `ISA` with the segment terminator, in bytes.
const ISA_BYTES: usize = 106;
/// Where the element separators of `ISA` are.
const ISA_SEPARATORS: [usize; 16] = [3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103];

/// One interchange, all of a file.
#[derive(Debug)]
pub struct Interchange<'a> {
    /// `ISA`.
    pub header: Segment<'a>,
    /// Its transaction sets, of all its functional groups.
    pub sets: Vec<Set<'a>>,
}

/// One transaction set.
#[derive(Debug)]
pub struct Set<'a> {
    /// `GS` of the functional group that it is in.
    pub group: Segment<'a>,
    /// `ST`.
    pub header: Segment<'a>,
    /// What is between `ST` and `SE`.
    pub segments: Vec<Segment<'a>>,
}

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// Its number in the file; `ISA` is 1.
    pub at: usize,
    /// The identifier, then the elements, without the blanks around them.
    elements: Rc<[&'a str]>,
    component: u8,
}

#[derive(Debug, Clone, Copy)]
struct Separators {
    element: u8,
    component: u8,
    terminator: u8,
}

impl<'a> Segment<'a> {
    /// Its identifier, e.g. `LIN`.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.elements[0]
    }

    /// Element `n`, from 1, without the blanks around it; nothing when it is empty or not there.
    #[must_use]
    pub fn get(&self, n: usize) -> Option<&'a str> {
        self.elements.get(n).copied().filter(|text| !text.is_empty())
    }

    /// The components of element `n`; none when it is not there.
    pub fn components(&self, n: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let component = char::from(self.component);
        self.get(n).into_iter().flat_map(move |element| element.split(component))
    }

    /// Element `n`, which must not be empty.
    ///
    /// # Errors
    /// `x12_element_missing`.
    pub fn required(&self, n: usize) -> Result<&'a str, MapError> {
        self.get(n).ok_or_else(|| self.refused("x12_element_missing", n, "is empty"))
    }

    /// Pairs of a qualifier and a value, the first qualifier being element `n`: `LIN*1*SK*KT-17*UP*012345678905` from 2.
    /// Pairs without a value are left out.
    pub fn pairs(&self, n: usize) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
        (n..self.elements.len()).step_by(2).filter_map(|at| Some((at + 1, self.get(at)?, self.get(at + 1)?)))
    }

    /// A refusal of element `n`, which names it: `segment 12, LIN03 is empty`.
    #[must_use]
    pub fn refused(&self, code: &'static str, n: usize, why: &str) -> MapError {
        MapError::new(code, self.path(n), format!("segment {}, {}{n:02} {why}", self.at, self.id()))
    }

    /// The place of element `n`: `/12/LIN03`; of the segment itself, when `n` is 0: `/12/LIN`.
    #[must_use]
    pub fn path(&self, n: usize) -> String {
        if n == 0 {
            format!("/{}/{}", self.at, self.id())
        } else {
            format!("/{}/{}{n:02}", self.at, self.id())
        }
    }
}

impl<'a> Interchange<'a> {
    /// Reads a file of one interchange and checks its envelopes.
    ///
    /// # Errors
    /// `payload_not_utf8`, `x12_isa`, `x12_truncated`, `x12_segment_unexpected`, `x12_control_number`, `x12_count`,
    /// `x12_trailing`, `x12_empty`.
    pub fn read(payload: &'a [u8]) -> Result<Self, MapError> {
        let text = str::from_utf8(payload).map_err(|e| {
            MapError::new("payload_not_utf8", "", format!("not UTF-8 after byte {}", e.valid_up_to()))
        })?;
        let mut segments = Segments { rest: text, read: 0, separators: separators(text)? };

        let header = segments.expect("ISA")?;
        let mut sets = Vec::new();
        let mut groups = 0;
        let trailer = loop {
            let group = segments.expect("GS or IEA")?;
            match group.id() {
                "GS" => groups += 1,
                "IEA" => break group,
                _ => return Err(unexpected(&group, "GS or IEA")),
            }
            let before = sets.len();
            let end = loop {
                let start = segments.expect("ST or GE")?;
                match start.id() {
                    "ST" => sets.push(set(group.clone(), start, &mut segments)?),
                    "GE" => break start,
                    _ => return Err(unexpected(&start, "ST or GE")),
                }
            };
            counted(&end, sets.len() - before, "transaction sets")?;
            same(&end, 2, &group, 6)?;
        };
        counted(&trailer, groups, "functional groups")?;
        same(&trailer, 2, &header, 13)?;
        if !segments.rest.trim().is_empty() {
            return Err(MapError::new(
                "x12_trailing",
                format!("/{}", segments.read + 1),
                format!("something follows IEA, segment {}: a file holds one interchange", segments.read),
            ));
        }
        if sets.is_empty() {
            return Err(MapError::new("x12_empty", "", "the interchange has no transaction set"));
        }
        Ok(Self { header, sets })
    }

    /// The same, all of whose transaction sets are of `kind`, e.g. `846`.
    ///
    /// # Errors
    /// Those of [`Interchange::read`], and `x12_set_unexpected`.
    pub fn of(kind: &str, payload: &'a [u8]) -> Result<Self, MapError> {
        let interchange = Self::read(payload)?;
        for set in &interchange.sets {
            if set.header.get(1) != Some(kind) {
                return Err(set.header.refused("x12_set_unexpected", 1, &format!("is not {kind}")));
            }
        }
        Ok(interchange)
    }

    /// Whether `ISA15` says that this is a test.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.header.get(15) == Some("T")
    }
}

fn set<'a>(
    group: Segment<'a>,
    header: Segment<'a>,
    segments: &mut Segments<'a>,
) -> Result<Set<'a>, MapError> {
    let mut within = Vec::new();
    loop {
        let segment = segments.expect("SE")?;
        match segment.id() {
            "SE" => {
                counted(&segment, within.len() + 2, "segments")?;
                same(&segment, 2, &header, 2)?;
                return Ok(Set { group, header, segments: within });
            }
            "ISA" | "IEA" | "GS" | "GE" | "ST" => return Err(unexpected(&segment, "SE")),
            _ => within.push(segment),
        }
    }
}

struct Segments<'a> {
    rest: &'a str,
    read: usize,
    separators: Separators,
}

impl<'a> Segments<'a> {
    fn expect(&mut self, what: &str) -> Result<Segment<'a>, MapError> {
        let Separators { element, component, terminator } = self.separators;
        // Many senders put a line break behind every terminator, for people.
        let breaks = self.rest.bytes().take_while(|byte| [b'\r', b'\n', terminator].contains(byte)).count();
        self.rest = &self.rest[breaks..];
        let at = self.read + 1;
        let mut elements = Vec::with_capacity(16);
        let mut from = 0;
        for (end, byte) in self.rest.bytes().enumerate() {
            if byte != element && byte != terminator {
                continue;
            }
            elements.push(trimmed(&self.rest[from..end]));
            from = end + 1;
            if byte == terminator {
                self.rest = &self.rest[from..];
                self.read = at;
                return Ok(Segment { at, elements: elements.into(), component });
            }
        }
        let why = format!("the file ends in segment {at}, where {what} is to come");
        Err(MapError::new("x12_truncated", format!("/{at}"), why))
    }
}

fn trimmed(text: &str) -> &str {
    if text.bytes().next().is_some_and(|first| first == b' ') || text.bytes().next_back() == Some(b' ') {
        return text.trim_matches(' ');
    }
    text
}

fn separators(text: &str) -> Result<Separators, MapError> {
    let fault = |why: &str| MapError::new("x12_isa", "/1/ISA", format!("segment 1, ISA: {why}"));
    let bytes = text.as_bytes();
    if !text.starts_with("ISA") {
        return Err(fault("the file does not begin with it"));
    }
    let Some(isa) = bytes.get(..ISA_BYTES).filter(|isa| isa.is_ascii()) else {
        return Err(fault("is not 106 characters of ASCII long"));
    };
    let [element, component, terminator] = [isa[3], isa[104], isa[105]];
    if ISA_SEPARATORS.iter().any(|at| isa[*at] != element)
        || isa.iter().filter(|byte| **byte == element).count() != ISA_SEPARATORS.len()
    {
        return Err(fault("its elements do not have their fixed lengths"));
    }
    let usable = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b' ';
    if element == component
        || element == terminator
        || component == terminator
        || ![element, component, terminator].into_iter().all(usable)
    {
        return Err(fault("the separators of segments, elements and components are not three"));
    }
    Ok(Separators { element, component, terminator })
}

fn unexpected(segment: &Segment<'_>, expected: &str) -> MapError {
    segment_fault("x12_segment_unexpected", segment, &format!("where {expected} is to come"))
}

fn segment_fault(code: &'static str, segment: &Segment<'_>, why: &str) -> MapError {
    MapError::new(code, segment.path(0), format!("segment {} is {:?}, {why}", segment.at, segment.id()))
}

/// Element 1 of a trailer says how many there are.
fn counted(trailer: &Segment<'_>, found: usize, of: &str) -> Result<(), MapError> {
    let stated = trailer.required(1)?;
    if stated.bytes().all(|byte| byte.is_ascii_digit()) && stated.parse() == Ok(found) {
        return Ok(());
    }
    Err(trailer.refused("x12_count", 1, &format!("states {stated} {of}, and there are {found}")))
}

/// A trailer repeats the control number of its header.
fn same(trailer: &Segment<'_>, n: usize, header: &Segment<'_>, m: usize) -> Result<(), MapError> {
    let (ends, begun) = (trailer.required(n)?, header.required(m)?);
    if ends == begun || (ends.trim_start_matches('0') == begun.trim_start_matches('0')) {
        return Ok(());
    }
    let why = format!("is {ends}, and {}{m:02} is {begun}", header.id());
    Err(trailer.refused("x12_control_number", n, &why))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const FILE: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260110*1403*U*00401*000000905*0*P*>~\
        GS*IB*SENDER*RECEIVER*20260110*1403*1*X*004010~ST*846*0001~BIA*00*DD*R1*20260110~LIN**SK*A 1*UP*~\
        REF*1>2*x~SE*5*0001~GE*1*1~IEA*1*000000905~";

    fn refused(text: &str) -> (&'static str, String) {
        let refused = Interchange::read(text.as_bytes()).unwrap_err();
        (refused.code(), refused.path().to_owned())
    }

    #[test]
    fn an_interchange_has_sets_and_these_have_segments() {
        let interchange = Interchange::of("846", FILE.as_bytes()).unwrap();
        assert_eq!((interchange.header.get(6), interchange.is_test()), (Some("SENDER"), false));
        let [set] = &interchange.sets[..] else { panic!("{interchange:?}") };
        assert_eq!((set.group.get(1), set.header.required(2)), (Some("IB"), Ok("0001")));
        let [bia, lin, reference] = &set.segments[..] else { panic!("{set:?}") };
        assert_eq!((bia.at, bia.id(), bia.get(5)), (4, "BIA", None));
        assert_eq!(lin.pairs(2).collect::<Vec<_>>(), [(3, "SK", "A 1")]);
        assert_eq!(reference.components(1).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            lin.required(5).unwrap_err().to_string(),
            "x12_element_missing at \"/5/LIN05\": segment 5, LIN05 is empty"
        );
        assert_eq!(Interchange::of("850", FILE.as_bytes()).unwrap_err().code(), "x12_set_unexpected");
    }

    #[test]
    fn separators_are_those_of_isa() {
        for (element, terminator, behind) in
            [("|", "\n", ""), ("*", "~", "\r\n"), ("\u{1d}", "\u{1c}", ""), ("*", "\r", "\n")]
        {
            let other = FILE.replace('*', element).replace('~', &format!("{terminator}{behind}"));
            let interchange = Interchange::read(other.as_bytes()).unwrap();
            assert_eq!(interchange.sets[0].segments[1].get(3), Some("A 1"), "{other:?}");
        }
    }

    #[test]
    fn every_fault_of_an_envelope_is_named() {
        for (from, to, code, path) in [
            ("ISA*", "XXX*", "x12_isa", "/1/ISA"),
            ("*260110", "*20260110", "x12_isa", "/1/ISA"),
            ("*>~", "**~", "x12_isa", "/1/ISA"),
            ("SE*5*", "SE*6*", "x12_count", "/7/SE01"),
            ("SE*5*", "SE*+5*", "x12_count", "/7/SE01"),
            ("SE*5*0001", "SE*5*0002", "x12_control_number", "/7/SE02"),
            ("GE*1*1", "GE*2*1", "x12_count", "/8/GE01"),
            ("GE*1*1", "GE*1*", "x12_element_missing", "/8/GE02"),
            ("GE*1*1", "GE*1*7", "x12_control_number", "/8/GE02"),
            ("IEA*1*000000905", "IEA*0*000000905", "x12_count", "/9/IEA01"),
            ("IEA*1*000000905", "IEA*1*000000906", "x12_control_number", "/9/IEA02"),
            ("IEA*1*000000905~", "IEA*1*000000905", "x12_truncated", "/9"),
            ("~SE*5*0001", "", "x12_segment_unexpected", "/7/GE"),
            ("GS*", "XS*", "x12_segment_unexpected", "/2/XS"),
            ("ST*846", "SX*846", "x12_segment_unexpected", "/3/SX"),
        ] {
            assert_eq!(refused(&FILE.replacen(from, to, 1)), (code, path.to_owned()), "{from} -> {to}");
        }
        assert_eq!(refused(&format!("{FILE}ISA*00")).0, "x12_trailing");
        assert_eq!(refused("").0, "x12_isa");
        let empty = format!("{}~GE*0*1~IEA*1*000000905~", FILE.split("~ST").next().unwrap());
        assert_eq!(refused(&empty).0, "x12_empty");
        assert_eq!(Interchange::read(b"ISA\xff").unwrap_err().code(), "payload_not_utf8");
        for end in 0..FILE.len() - 1 {
            assert!(Interchange::read(&FILE.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }
}
