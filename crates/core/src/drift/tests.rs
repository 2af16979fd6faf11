//! Messages that change, and what is said of them.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SCHEMA: &str = r#"{"type": "object", "required": ["sku", "qty"], "properties": {"sku": {"type": "string"},
    "qty": {"type": "integer"}, "lines": {"type": "array", "items": {"type": "object", "required": ["id"],
    "properties": {"id": {"type": "integer"}, "note": {"type": ["string", "null"]}}}}}}"#;

struct Vendor {
    track: Track,
    shape: Shape,
    sent: u64,
}

impl Vendor {
    fn new() -> Self {
        Self { track: Track::default(), shape: Shape::read(&serde_json::from_str(SCHEMA).unwrap()), sent: 0 }
    }

    fn subject() -> Subject {
        let of = TrackKey {
            vendor_id: "v".parse().unwrap(),
            event_type: "t".parse().unwrap(),
            schema_version: "1".parse().unwrap(),
        };
        Subject { of, bundle: Sha256Hex::of(b"b") }
    }

    /// Sends messages in one window.
    fn send(&mut self, count: u64, message: impl Fn(u64) -> Value) -> Vec<Finding> {
        let mut window = Profile::default();
        let mut at = Timestamp::UNIX_EPOCH;
        for number in 0..count {
            self.sent += 1;
            at = Timestamp::from_millisecond(i64::try_from(self.sent).unwrap() * 1_000).unwrap();
            let payload = crate::json::parse(message(number).to_string().as_bytes()).unwrap();
            let ingest_id = IngestId::mint(at, self.sent.into());
            window.observe(Observation { ingest_id, at, payload: &payload }, &self.shape);
        }
        let codes = BTreeMap::from([("/qty".to_owned(), "payload_schema_violation".to_owned())]);
        self.track.update(&window, at, &self.shape, &Self::subject(), &codes)
    }
}

fn ordinary(number: u64) -> Value {
    json!({"sku": format!("SKU-{number}"), "qty": number, "colour": if number.is_multiple_of(2) { "red" } else { "blue" }, "lines": [{"id": 1, "note": null}, {"id": 2, "note": "x"}]})
}

fn without(mut message: Value, name: &str) -> Value {
    message.as_object_mut().unwrap().remove(name);
    message
}

fn with(mut message: Value, name: &str, value: Value) -> Value {
    message[name] = value;
    message
}

fn told(findings: &[Finding]) -> Vec<(FindingKind, &str, bool)> {
    findings.iter().map(|finding| (finding.kind, finding.path.as_str(), finding.breaking)).collect()
}

#[test]
fn an_unchanging_vendor_has_no_findings() {
    let mut vendor = Vendor::new();
    for _ in 0..20 {
        assert_eq!(vendor.send(50, ordinary), []);
    }
    assert_eq!(vendor.track.past.events + vendor.track.recent.events, 1_000);
    assert!(vendor.track.past.fields["/sku"].many_values && !vendor.track.past.fields["/colour"].many_values);
    assert_eq!(vendor.track.past.fields["/lines/*/id"].seen, 2 * vendor.track.past.events);
}

#[test]
fn a_required_field_that_is_renamed_is_found_at_its_first_event() {
    let renamed = |number| with(without(ordinary(number), "qty"), "quantity", json!(number));
    let mut fresh = Vendor::new();
    let findings = fresh.send(1, renamed);
    assert_eq!(told(&findings), [(FindingKind::Renamed, "/qty", true)], "without any past");
    let mut known = Vendor::new();
    known.send(300, ordinary);
    known.send(2, ordinary);
    let findings = known.send(3, renamed);
    assert_eq!(told(&findings), [(FindingKind::Renamed, "/qty", true)]);
    let finding = &findings[0];
    assert_eq!((finding.renamed_to.as_deref(), finding.objects), (Some("/quantity"), 3));
    assert_eq!(
        (finding.expected.as_slice(), finding.found.as_slice()),
        (&[Type::Integer][..], &[Type::Integer][..])
    );
    assert_eq!(finding.code.as_deref(), Some("payload_schema_violation"));
    assert_eq!(finding.first_seen_at.as_second(), 303);
    assert_eq!(finding.sentence(), "/qty seems to be /quantity now (100 % alike)");
    let again = known.send(3, renamed);
    assert_eq!(again[0].id, finding.id, "the same difference has the same id");
}

#[test]
fn a_field_that_the_contract_does_not_require_is_missed_after_some_events() {
    let mut vendor = Vendor::new();
    vendor.send(100, ordinary);
    assert_eq!(vendor.send(5, |number| without(ordinary(number), "colour")), [], "that may be chance");
    let findings = vendor.send(10, |number| with(without(ordinary(number), "colour"), "color", json!("red")));
    assert_eq!(told(&findings), [(FindingKind::Renamed, "/colour", false)]);
    let finding = &findings[0];
    assert_eq!((finding.first_seen_at.as_second(), finding.objects, finding.declared), (101, 15, false));
    assert_eq!(vendor.send(10, ordinary), [], "it is back");
}

#[test]
fn fields_that_are_new_or_gone_with_nothing_alike() {
    let mut vendor = Vendor::new();
    vendor.send(100, ordinary);
    let findings = vendor.send(30, |number| {
        with(without(ordinary(number), "lines"), "customer", json!({"vip": true, "tier": 1}))
    });
    assert_eq!(
        told(&findings),
        [(FindingKind::Vanished, "/lines", false), (FindingKind::New, "/customer", false)]
    );
    assert!(findings[0].declared && !findings[1].declared);
    assert_eq!(findings[1].found, [Type::Object]);
}

#[test]
fn types_that_the_contract_or_the_past_does_not_have() {
    let mut vendor = Vendor::new();
    vendor.send(100, ordinary);
    let findings = vendor.send(1, |number| {
        let message = with(ordinary(number), "qty", json!("12"));
        with(message, "colour", json!(["red"]))
    });
    let seen: Vec<_> = findings.iter().map(Finding::sentence).collect();
    assert_eq!(seen, ["/qty is string, not integer", "/colour is array, not string"]);
    assert_eq!((findings[0].breaking, findings[1].breaking), (true, false));
    let widened =
        vendor.send(1, |number| with(ordinary(number), "lines", json!([{"id": 1.5, "note": null}])));
    assert_eq!(widened[0].sentence(), "/lines/*/id is number, not integer");
    assert!(widened[0].breaking);
    assert_eq!(vendor.send(1, |number| with(ordinary(number), "qty", json!(null)))[0].found, [Type::Null]);
}

#[test]
fn one_bad_message_among_many_is_no_drift() {
    let mut vendor = Vendor::new();
    vendor.send(100, ordinary);
    vendor.send(100, ordinary);
    let findings = vendor
        .send(50, |number| if number == 7 { without(ordinary(number), "qty") } else { ordinary(number) });
    assert_eq!(findings, []);
    assert_eq!(vendor.track.recent.required_missing["/qty"].objects, 1, "but it is counted");
}

#[test]
fn numbers_are_integers_as_json_schema_has_it() {
    for (token, integer) in [
        ("1", true),
        ("-0", true),
        ("1.0", true),
        ("1.5", false),
        ("1e3", true),
        ("1.5e1", true),
        ("1e-1", false),
        ("12345678901234567890", true),
    ] {
        assert_eq!(whole(token), integer, "{token}");
    }
}

#[test]
fn a_track_is_stored_small_and_read_back() {
    let mut vendor = Vendor::new();
    vendor.send(500, ordinary);
    let bytes = vendor.track.encode().unwrap();
    assert!(bytes.len() < 4_000, "{} bytes", bytes.len());
    assert_eq!(Track::decode(&bytes).unwrap(), vendor.track);
    assert!(Track::decode(b"no gzip").is_err());
    let text = String::from_utf8_lossy(&serde_json::to_vec(&vendor.track).unwrap()).into_owned();
    assert!(!text.contains("red") && !text.contains("SKU-1"), "no value of the vendor's");
}

#[test]
fn a_hostile_message_is_bounded() {
    let mut vendor = Vendor::new();
    let wide: serde_json::Map<String, Value> = (0..5_000).map(|n| (format!("k{n}"), json!(n))).collect();
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!({"a": deep});
    }
    let long = json!({"x".repeat(10_000): 1});
    vendor.send(3, |number| match number {
        0 => Value::Object(wide.clone()),
        1 => deep.clone(),
        _ => long.clone(),
    });
    let recent = &vendor.track.recent;
    assert!(recent.truncated && recent.fields.len() <= PATHS_MAX);
    assert!(recent.fields.keys().all(|path| path.len() <= PATH_BYTES_MAX * 2));
    assert!(vendor.track.encode().unwrap().len() < 100_000);
}

#[test]
fn a_vendor_that_invents_names_without_end_has_no_findings_without_end() {
    let mut vendor = Vendor::new();
    vendor.send(30, ordinary);
    let mut ids = BTreeSet::new();
    for round in 0..60 {
        let found = vendor.send(5, |number| with(ordinary(number), &format!("n{round}-{number}"), json!(1)));
        ids.extend(found.into_iter().map(|finding| finding.id));
    }
    assert_eq!(ids.len(), FINDINGS_KEPT_MAX, "300 names came");
    assert!(vendor.track.left_out > 0);
    // What was kept goes on, and what the contract names is never left out.
    let again = vendor.send(5, |number| with(ordinary(number), &format!("n0-{number}"), json!(1)));
    assert!(again.iter().all(|finding| ids.contains(&finding.id)));
    let broken = vendor.send(5, |number| with(ordinary(number), "qty", json!("text")));
    assert!(broken.iter().any(|finding| finding.path == "/qty" && finding.breaking), "{broken:?}");
    let track = Track::decode(&vendor.track.encode().unwrap()).unwrap();
    assert_eq!(track, vendor.track);

    // What was not seen for 90 days makes room.
    vendor.sent += u64::try_from(FINDING_SECONDS).unwrap();
    let later = vendor.send(3, |number| with(ordinary(number), &format!("later-{number}"), json!(1)));
    assert!(later.iter().any(|finding| finding.path.starts_with("/later")), "{later:?}");
    assert!(vendor.track.kept.len() <= 3, "{:?}", vendor.track.kept);
}

fn messages() -> impl Strategy<Value = Vec<Value>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from)
    ];
    let message = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|members| json!(members)),
        ]
    });
    prop::collection::vec(message, 1..12)
}

proptest! {
    /// Counting in windows is counting at once, and never panics.
    #[test]
    fn windows_add_up(messages in messages(), cut in 0usize..12) {
        let shape = Shape::read(&serde_json::from_str(SCHEMA).unwrap());
        let observe = |messages: &[Value], from: usize| {
            let mut profile = Profile::default();
            for (number, message) in messages.iter().enumerate() {
                let at = Timestamp::from_second(i64::try_from(from + number).unwrap()).unwrap();
                let payload = crate::json::parse(message.to_string().as_bytes()).unwrap();
                let ingest_id = IngestId::mint(at, (from + number) as u128);
                profile.observe(Observation { ingest_id, at, payload: &payload }, &shape);
            }
            profile
        };
        let cut = cut.min(messages.len());
        let whole = observe(&messages, 0);
        let mut parts = observe(&messages[..cut], 0);
        parts.merge(&observe(&messages[cut..], cut));
        prop_assert_eq!(whole.events, parts.events);
        for (path, field) in &whole.fields {
            let other = &parts.fields[path];
            prop_assert_eq!((field.seen, &field.types), (other.seen, &other.types), "{}", path);
            prop_assert_eq!(field.first_seen_at, other.first_seen_at);
        }
        prop_assert_eq!(&whole.required_missing, &parts.required_missing);
    }
}
