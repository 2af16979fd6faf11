//! Bytes as X12: each of the three readers refuses or reads, and places are within the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_formats::x12;

fuzz_target!(|bytes: &[u8]| {
    let _ = x12::interchanges(bytes);
    if let (Ok(head), Ok(place)) = (x12::Head::open(bytes), "ST01".parse()) {
        let _ = head.get(&place);
    }
    let mut before = 0;
    for place in x12::cut(bytes).into_iter().flatten().flat_map(|cut| cut.places) {
        assert!(before <= place.start && place.start <= place.end && place.end <= bytes.len());
        before = place.end;
    }
});
