//! Tests of the X12 reader: heads, places, strict reading, any bytes.

#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use proptest::prelude::*;

use super::*;

const FILE: &str = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260110*1403*U*00401*000000905*0*P*>~\
    GS*IB*SENDER*RECEIVER*20260110*1403*1*X*004010~ST*846*0001~BIA*00*DD*R1*20260110~LIN**SK*A 1*UP*~\
    REF*1>2*x~SE*5*0001~GE*1*1~IEA*1*000000905~";

fn refused(text: &str) -> (&'static str, String) {
    let refused = interchanges(text.as_bytes()).unwrap_err();
    (refused.code(), refused.path().to_owned())
}

fn get(bytes: &[u8], place: &str) -> Option<String> {
    Head::open(bytes).unwrap().get(&place.parse().unwrap()).map(Cow::into_owned)
}

/// A second interchange, with separators of its own.
fn second() -> String {
    FILE.replace("000000905", "000000906").replace('*', "|").replace('~', "\n").replace("A 1", "B 2")
}

#[test]
fn an_interchange_has_sets_and_these_have_segments() {
    let file = interchanges_of("846", FILE.as_bytes()).unwrap();
    let [interchange] = &file[..] else { panic!("{file:?}") };
    assert_eq!((interchange.header.get(6), interchange.is_test()), (Some("SENDER"), false));
    let [set] = &interchange.sets[..] else { panic!("{interchange:?}") };
    assert_eq!((set.group.get(1), set.header.required(2)), (Some("IB"), Ok("0001")));
    let [bia, lin, reference] = &set.segments[..] else { panic!("{set:?}") };
    assert_eq!((bia.at, bia.id(), bia.get(5)), (4, "BIA", None));
    assert_eq!(lin.pairs(2).collect::<Vec<_>>(), [(3, "SK", "A 1")]);
    assert_eq!(lin.pair_of(2, &["UP", "SK"]), Some((3, "SK", "A 1")));
    assert_eq!(lin.pair_of(2, &["UP"]), None);
    assert_eq!(reference.components(1).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(
        lin.required(5).unwrap_err().to_string(),
        "x12_element_missing at \"/5/LIN05\": segment 5, LIN05 is empty"
    );
    assert_eq!(interchanges_of("850", FILE.as_bytes()).unwrap_err().code(), "x12_set_unexpected");
}

#[test]
fn a_file_is_a_sequence_of_interchanges_each_with_its_separators() {
    for between in ["", "\r\n", "\n\n", "   \n"] {
        let file = format!("\u{feff}{FILE}{between}{}\u{1a}", second());
        let both = interchanges(file.as_bytes()).unwrap();
        let articles: Vec<_> =
            both.iter().map(|one| (one.header.at, one.sets[0].segments[1].get(3).unwrap())).collect();
        assert_eq!(articles, [(1, "A 1"), (10, "B 2")], "{between:?}");
        assert_eq!(get(file.as_bytes(), "LIN03").as_deref(), Some("A 1"), "the first");
        let places = cut(file.as_bytes()).unwrap();
        assert_eq!(places.len(), 18);
        assert_eq!(&file[places[13].places[3].clone()], "B 2");
        assert_eq!((places[8].separators.element, places[9].separators.element), (b'*', b'|'));
    }
    let glued = format!("{FILE}{}", second());
    for (file, code, path) in [
        (format!("{FILE}{FILE}"), "x12_interchange_doubled", "/10/ISA13"),
        (format!("{FILE}ISA*00"), "x12_isa", "/10/ISA"),
        (format!("{FILE}GS*IB"), "x12_trailing", "/10"),
        (format!("{FILE}x"), "x12_trailing", "/10"),
        (glued[..glued.len() - 5].to_owned(), "x12_truncated", "/18"),
        (glued.replace("GE*1*1~IEA*1*000000905~", ""), "x12_segment_unexpected", "/8/ISA"),
        (glued.replace("IEA*1*000000905~", ""), "x12_segment_unexpected", "/9/ISA"),
    ] {
        assert_eq!(refused(&file), (code, path.to_owned()), "{file}");
    }
    let only_an_acknowledgment = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260110*1403*U*00401*000000907*0*P*>~\
        TA1*000000001*260110*1403*A*000~IEA*0*000000907~";
    assert_eq!(interchanges(format!("{only_an_acknowledgment}{FILE}").as_bytes()).unwrap().len(), 2);
    assert_eq!(refused(only_an_acknowledgment).0, "x12_empty");
}

#[test]
fn separators_are_those_of_isa() {
    for (element, terminator, behind) in [
        ("|", "\n", ""),
        ("*", "~", "\r\n"),
        ("\u{1d}", "\u{1c}", ""),
        ("*", "\r", "\n"),
        ("*", "~", "      \r\n"),
    ] {
        let other = FILE.replace('*', element).replace('~', &format!("{terminator}{behind}"));
        let file = interchanges(other.as_bytes()).unwrap();
        assert_eq!(file[0].sets[0].segments[1].get(3), Some("A 1"), "{other:?}");
        assert_eq!(get(other.as_bytes(), "LIN03").as_deref(), Some("A 1"), "{other:?}");
    }
}

#[test]
fn every_fault_of_an_envelope_is_named() {
    for (from, to, code, path) in [
        ("ISA*", "XXX*", "x12_isa", "/1/ISA"),
        ("*260110", "*20260110", "x12_isa", "/1/ISA"),
        ("SENDER         ", "SENDER", "x12_isa", "/1/ISA"),
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
        ("A 1", "A\n1", "x12_line_break", "/5/LIN03"),
        ("*x~", "*x\r\n~", "x12_line_break", "/6/REF02"),
    ] {
        assert_eq!(refused(&FILE.replacen(from, to, 1)), (code, path.to_owned()), "{from} -> {to}");
    }
    assert_eq!(refused("").0, "x12_isa");
    let empty = format!("{}~GE*0*1~IEA*1*000000905~", FILE.split("~ST").next().unwrap());
    assert_eq!(refused(&empty).0, "x12_empty");
    assert_eq!(interchanges(b"ISA\xff").unwrap_err().code(), "payload_not_utf8");
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_and_never_panics() {
    let file = format!("{FILE}{}", second());
    for end in 0..file.len() {
        let cut_off = &file.as_bytes()[..end];
        // Whole after its first interchange; the last terminator of the second is a line feed.
        assert_eq!(interchanges(cut_off).is_ok(), end == FILE.len(), "cut at {end}");
        assert_eq!(cut(cut_off).is_ok(), end >= 106, "cut at {end}");
        assert_eq!(Head::open(cut_off).is_ok(), end >= 106, "cut at {end}");
    }
}

#[test]
fn elements_are_found_whatever_the_encoding_and_the_rest() {
    for (place, expected) in [
        ("ISA13", Some("000000905")),
        ("ISA06", Some("SENDER")),
        ("ISA02", None),
        ("ST01", Some("846")),
        ("LIN03", Some("A 1")),
        ("LIN05", None),
        ("LIN09", None),
        ("BIG01", None),
    ] {
        assert_eq!(get(FILE.as_bytes(), place).as_deref(), expected, "{place}");
        assert_eq!(get(&FILE.as_bytes()[..FILE.len() - 30], place).as_deref(), expected, "{place}");
        let bom = format!("\u{feff}\r\n {FILE}");
        assert_eq!(get(bom.as_bytes(), place).as_deref(), expected, "{place}");
    }
    // A name in Latin-1, in ISA and in a segment: 106 bytes. The same in UTF-8 is 106 characters.
    let utf8 = FILE.replace("SENDER         ", "SENDÉR         ").replace("A 1", "BÜTTNER");
    let latin1: Vec<u8> = utf8.chars().map(|one| u8::try_from(u32::from(one)).unwrap()).collect();
    for bytes in [utf8.as_bytes(), &latin1] {
        assert_eq!(get(bytes, "ISA06").as_deref(), Some("SENDÉR"));
        assert_eq!(get(bytes, "LIN03").as_deref(), Some("BÜTTNER"));
        assert_eq!(get(bytes, "ST01").as_deref(), Some("846"));
    }
    assert_eq!(interchanges(utf8.as_bytes()).unwrap()[0].header.get(6), Some("SENDÉR"));
    assert_eq!(interchanges(&latin1).unwrap_err().code(), "payload_not_utf8");
    for bad in ["", "ISA*00*", "{}", &FILE[1..], &FILE.replace('~', "*"), &FILE.replace('*', "A")] {
        assert_eq!(Head::open(bad.as_bytes()).unwrap_err().code(), "x12_isa", "{bad:?}");
    }
}

#[test]
fn segments_are_cut_even_where_the_file_is_cut_off() {
    let isa = &FILE[..106];
    let text = format!("{isa}\nGS*IB*A*B~\nLIN**SK*KT");
    let segments: Vec<Vec<&str>> = cut(text.as_bytes())
        .unwrap()
        .iter()
        .map(|segment| segment.places.iter().map(|place| &text[place.clone()]).collect())
        .collect();
    assert_eq!(segments[0][8], "RECEIVER       ");
    assert_eq!(segments[1..], [vec!["GS", "IB", "A", "B"], vec!["LIN", "", "SK", "KT"]]);
}

#[test]
fn a_place_has_one_spelling() {
    for good in ["ST01", "ISA13", "N104", "G6205"] {
        assert_eq!(good.parse::<Element>().unwrap().to_string(), good);
    }
    for bad in ["", "ST", "ST1", "st01", "ST00", "1T01", "ISAA13", "ST0x", "é101"] {
        assert!(bad.parse::<Element>().is_err(), "{bad:?}");
    }
}

#[test]
fn numbers_may_begin_or_end_with_their_point() {
    for (text, expected) in [
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        ("12.50", "12.50"),
        (".", "."),
        ("", ""),
        ("-", "-"),
        ("..", "0."),
    ] {
        assert_eq!(decimal(text), expected, "{text:?}");
    }
}

#[test]
fn hash_totals_are_exact() {
    let mut hash = HashTotal::default();
    for quantity in ["120", ".5", "9007199254740993", "-3.", "0.000000001"] {
        assert!(hash.add(quantity), "{quantity}");
    }
    assert_eq!(hash.to_string(), "9007199254741110.500000001");
    assert!(hash.is("9007199254741110.500000001") && !hash.is("9007199254741110.5"));
    for bad in ["", ".", "-", "1e3", "+1", "1,000", "1.0000000001", "x", &"9".repeat(60)] {
        assert!(!hash.add(bad), "{bad:?}");
    }
    assert!(hash.add("-9007199254741111") && hash.to_string() == "-0.499999999", "{hash}");
    assert!(HashTotal::default().is("0.00"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..150), tail in ".{0,200}", at in 0..400_usize) {
        let damaged = {
            let mut damaged = FILE.as_bytes().to_vec();
            let at = at % damaged.len();
            damaged.splice(at..at, bytes.iter().copied().take(4));
            damaged
        };
        for bytes in [bytes, [FILE.as_bytes(), tail.as_bytes()].concat(), damaged] {
            let _ = interchanges(&bytes);
            if let Ok(head) = Head::open(&bytes) {
                let _ = head.get(&"ST01".parse().unwrap());
            }
            let Ok(segments) = cut(&bytes) else { continue };
            // Places are in order, do not overlap, and hold none of their separators.
            let mut before = 0;
            for segment in segments {
                for place in segment.places {
                    prop_assert!(before <= place.start && place.start <= place.end && place.end <= bytes.len());
                    let Separators { element, terminator, .. } = segment.separators;
                    prop_assert!(!bytes[place.clone()].iter().any(|byte| [element, terminator].contains(byte)));
                    before = place.end;
                }
            }
        }
    }

    #[test]
    fn a_file_says_what_was_written_into_it(
        rows in proptest::collection::vec(proptest::collection::vec("[A-Z0-9 .é-]{0,9}", 1..6), 0..20),
        parts in 1..4_usize,
    ) {
        let mut file = String::new();
        for part in 0..parts {
            let separators = [("*", "~"), ("|", "\n"), ("\u{1d}", "\u{1c}")][part];
            let segments: String = rows.iter().map(|row| format!("REF*{}~", row.join("*"))).collect();
            let one = format!(
                "{}GS*IB*A*B*20260110*1403*1*X*004010~ST*846*0001~{segments}SE*{}*0001~GE*1*1~IEA*1*{:09}~",
                FILE[..106].replace("000000905", &format!("{part:09}")), rows.len() + 2, part
            );
            file += &one.replace('*', separators.0).replace('~', separators.1);
        }
        let read = interchanges(file.as_bytes()).unwrap();
        prop_assert_eq!(read.len(), parts);
        for one in read {
            let found: Vec<Vec<&str>> =
                one.sets[0].segments.iter().map(|segment| segment.elements().skip(1).collect()).collect();
            let wanted: Vec<Vec<&str>> =
                rows.iter().map(|row| row.iter().map(|text| text.trim_matches(' ')).collect()).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
