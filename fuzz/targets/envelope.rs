//! Bytes as a request body: an envelope, or every fault of it; judged the same twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::envelope::{Envelope, Refusal};

fuzz_target!(|body: &[u8]| {
    let now = jiff::Timestamp::from_second(1_795_255_200).expect("in range");
    match Envelope::parse(body, now) {
        Ok(envelope) => {
            assert!(body.len() >= envelope.payload.len());
            let again = Envelope::parse(body, now).ok().expect("the same bytes are the same envelope");
            assert_eq!(again.payload_sha256, envelope.payload_sha256);
        }
        Err(Refusal::Faults(faults)) => assert!(!faults.is_empty()),
        Err(Refusal::NotJson(_)) => {}
    }
});
