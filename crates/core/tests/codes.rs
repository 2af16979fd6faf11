//! `docs/codes.md` says what the code says: written by `cargo xtask codes`, held fresh by this test.

use std::fmt::Write as _;
use std::path::Path;

use sluice_core::problem::Kind;
use sluice_core::{Class, Code};

const HEAD: &str = "\
<!-- Written by `cargo xtask codes` from crates/core/src/fault.rs and problem.rs. Do not edit. -->

# Codes

Every code is stable: it is stored, counted and shown, and a program may match it.

## Why an event is quarantined

The class is the error name that Step Functions sees. The code is in the quarantine row, the dead-letter message, the ledger
(`quarantine.code`) and the log line.
";

/// What follows from a class, for the one who reads it at night.
fn advice(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Retryable => (
            "The same call may succeed later.",
            "Step Functions has retried it with back-off, and given up. See to the dependency, then `sluice redrive`.",
        ),
        Class::Rejected => (
            "The same input fails the same way until the data or the mapper changes.",
            "Never retried. Publish a bundle that takes the message (`sluice mapper publish`), then `sluice redrive`; or \
             ask the vendor to send it again, corrected, under a new `externalEventId`.",
        ),
        Class::Misconfigured => (
            "A person must act: something is missing, denied or inconsistent.",
            "Never retried. Put right what the message names, then `sluice redrive`.",
        ),
    }
}

/// What whoever sent the request should do about a problem of this kind.
fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::EnvelopeInvalid => "Correct every fault listed in `errors`, then send again.",
        Kind::MessageInvalid => {
            "Correct every fault listed in `errors`: what the contract of this message demands before it is taken; then send again."
        }
        Kind::BodyUnreadable => {
            "Send complete JSON, in UTF-8 (or a file of the agreed format), and gzip that inflates if `content-encoding` says so."
        }
        Kind::EventTypeUnknown => {
            "Use an event type that was agreed; a new one needs a contract and a mapper first."
        }
        Kind::Unauthenticated => "Send the key in `x-api-key`.",
        Kind::SignatureInvalid => {
            "Sign the exact bytes with the current secret, by the scheme that was agreed; for Standard Webhooks, check the clock of the sender."
        }
        Kind::VendorMismatch => "Send the `vendorId` that the key belongs to.",
        Kind::VendorDisabled => "Ask the operator; sending again does not help.",
        Kind::NotFound => {
            "Check the path, and in a receipt's the `ingestId`: a vendor sees its own events only."
        }
        Kind::MethodNotAllowed => "Send events with POST, ask for a receipt with GET.",
        Kind::Conflict => {
            "Nothing was overwritten: the event named by `ingestId` holds. A changed message needs a new `externalEventId`."
        }
        Kind::BodyTooLarge => "Send less in one event, or compress it.",
        Kind::ContentTypeUnsupported => {
            "Send `application/json`, or for files `text/csv` or `application/edi-x12`, as was agreed."
        }
        Kind::TooManyRequests => "Wait as long as `retry-after` says, then send the same bytes again.",
        Kind::HeadersTooLarge => "Send fewer or shorter headers.",
        Kind::Unavailable => {
            "Wait as long as `retry-after` says, then send the same bytes again: that is safe, a duplicate is recognised."
        }
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for class in Class::ALL {
        let (meaning, action) = advice(class);
        let _ = write!(
            text,
            "\n### {}\n\n{meaning} {action}\n\n| code | meaning |\n|---|---|\n",
            class.error_type()
        );
        for code in Code::ALL.iter().filter(|code| code.class() == class) {
            let _ = writeln!(text, "| `{code}` | {} |", code.summary());
        }
    }
    text += "\n## Why a request is refused\n\n\
        The answer is `application/problem+json` (RFC 9457); its `type` is `urn:sluice:problem:` and the code.\n\n\
        | status | code | title | what to do |\n|---|---|---|---|\n";
    for kind in Kind::ALL {
        let _ =
            writeln!(text, "| {} | `{}` | {} | {} |", kind.status(), kind.code(), kind.title(), remedy(kind));
    }
    text
}

#[test]
fn docs_codes_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/codes.md");
    let fresh = document();
    if std::env::var_os("SLUICE_BLESS").is_some() {
        std::fs::write(&path, fresh).expect("docs/ can be written");
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(present == fresh, "docs/codes.md is stale: run `cargo xtask codes`");
}

#[test]
fn every_kind_of_problem_is_listed_once_and_in_order() {
    // `remedy` is exhaustive, so a new kind does not build without advice; this holds that it is also listed.
    let source = include_str!("../src/problem.rs");
    let declared =
        source.split("pub enum Kind {").nth(1).and_then(|rest| rest.split('}').next()).expect("the enum");
    let variants = declared.lines().filter(|line| line.trim().ends_with(',')).count();
    assert_eq!(Kind::ALL.len(), variants);
    let codes: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), variants);
    assert!(Kind::ALL.is_sorted_by_key(|kind| kind.status()));
}
