//! A mapper in a few lines of WebAssembly, of which it is known what it copies from where.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use serde_json::json;
use sluice_core::schema::Schema;
use sluice_mapper_host::{Host, TargetSpec, TrustedDigest, compile};

use super::*;

const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"???????","quantityOnHand":??}}]"#;

/// Copies the seven bytes at `sku` and the two at `qty` of the payload, and the time at `time` of the metadata, if it is to.
fn bundle(format: &str, sku: usize, qty: usize, time: Option<usize>) -> Bundle {
    let escaped: String = OUT.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let at = |text: &str| 1024 + OUT.find(text).unwrap();
    let copy = |to: usize, param: usize, from: usize, bytes: usize| {
        format!(
            "(memory.copy (i32.const {to}) (i32.add (local.get {param}) (i32.const {from})) (i32.const {bytes}))"
        )
    };
    let time = time.map(|from| copy(at("2026"), 0, from, 19)).unwrap_or_default();
    let wasm = wat::parse_str(format!(
        r#"(module (memory (export "memory") 4) (global $next (mut i32) (i32.const 65536)) (data (i32.const 1024) "{escaped}")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $next (i32.add (global.get $next) (i32.const 32768))) (global.get $next))
          (func (export "map") (param i32 i32 i32 i32) (result i32)
            {} {} {time}
            (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 1024))
            (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
        copy(at("???????"), 2, sku, 7),
        copy(at("??}"), 2, qty, 2),
        OUT.len()
    ))
    .unwrap();
    let mut contract = json!({"vendorId": "acme", "eventType": "stock", "payload": {"format": format},
        "envelope": {"eventType": {"constant": "stock"}, "occurredAt": {"received": true}},
        "canonical": {"type": "InventoryUpdated", "version": "1.0"}});
    let mut schemas = BTreeMap::new();
    if format == "json" {
        contract["payload"] = json!({"defaultVersion": "1", "versions": {"1": "s.json"}});
        let schema = br#"{"type":"object","required":["qty","sku"],"properties":{"qty":{"type":"integer"}}}"#;
        schemas.insert("1".parse().unwrap(), Schema::compile(schema).unwrap());
    }
    let native = compile(&wasm, &TargetSpec::host()).unwrap();
    let mapper =
        Host::new().unwrap().load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes)).unwrap();
    Bundle { contract: serde_json::from_value(contract).unwrap(), schemas, mapper }
}

fn meta() -> Meta {
    Meta {
        vendor_id: "acme".into(),
        external_event_id: "e-1".into(),
        event_type: "stock".into(),
        schema_version: "1".into(),
        occurred_at: "2026-01-02T03:04:05Z".into(),
        received_at: "2026-01-02T03:04:06.789Z".into(),
    }
}

fn traced(bundle: &Bundle, payload: &str, plan: Plan) -> Lineage {
    let message = Message::new(meta(), payload.as_bytes().to_vec()).unwrap();
    trace(bundle, &message, &BTreeMap::new(), plan).unwrap()
}

fn sources<'l>(lineage: &'l Lineage, pointer: &str) -> Vec<(Origin, &'l str)> {
    let output = lineage.outputs.iter().find(|output| output.pointer == pointer).unwrap();
    output.sources.iter().map(|source| (source.origin, source.pointer.as_str())).collect()
}

fn effect_of<'l>(lineage: &'l Lineage, pointer: &str, change: Change) -> &'l Effect {
    let input = lineage.inputs.iter().find(|input| input.pointer == pointer).unwrap();
    &input.tried.iter().find(|tried| tried.change == change).unwrap().effect
}

#[test]
fn each_member_has_the_input_that_moves_it() {
    let payload = r#"{"qty":12,"sku":"ABC-001","other":[1,2]}"#;
    let lineage = traced(&bundle("json", 17, 7, None), payload, Plan::received());
    assert_eq!(lineage.outcome, Ending::Events(1));
    assert_eq!(sources(&lineage, "/0/data/sku"), [(Origin::Payload, "/sku")]);
    assert_eq!(sources(&lineage, "/0/data/quantityOnHand"), [(Origin::Payload, "/qty")]);
    assert_eq!(sources(&lineage, "/0/data/warehouseId"), []);
    assert_eq!(sources(&lineage, "/0/occurredAt"), []);
    for change in [Change::Value, Change::Absent, Change::Type] {
        assert_eq!(*effect_of(&lineage, "/other/0", change), Effect::None, "{change:?}");
    }
    let Effect::Fails(failure) = effect_of(&lineage, "/sku", Change::Absent) else { panic!() };
    assert_eq!((failure.code, failure.fault.as_str()), ("payload_schema_violation", "required"));
    assert!((lineage.left_out.is_empty(), lineage.out_of_time) == (true, false));

    let all = union([&lineage, &lineage]);
    let input = |member: &str| all.inputs.iter().find(|input| input.member == member).unwrap();
    let dropped = input("/sku").dropped.as_ref().unwrap();
    assert_eq!((dropped.messages, dropped.fail, dropped.change), (2, 2, 0));
    assert_eq!(dropped.codes, BTreeMap::from([("payload_schema_violation: required".to_owned(), 2)]));
    assert!(input("/sku").read && !input("/other/*").read);
    let output = all.outputs.iter().find(|output| output.member == "/*/data/sku").unwrap();
    assert_eq!(
        (output.messages, output.sources[0].member.as_str(), output.sources[0].messages),
        (2, "/sku", 2)
    );
}

#[test]
fn the_metadata_is_an_input_too() {
    let bundle = bundle("csv", 8, 16, {
        let meta = String::from_utf8(meta().to_json(&bundle("csv", 8, 16, None).contract).unwrap()).unwrap();
        Some(meta.find("\"occurredAt\":\"").unwrap() + "\"occurredAt\":\"".len())
    });
    let lineage = traced(&bundle, "sku,qty\nABC-001,12\n", Plan::received());
    assert_eq!(sources(&lineage, "/0/occurredAt"), [(Origin::Meta, "/occurredAt")]);
    assert_eq!(sources(&lineage, "/0/data/sku")[0], (Origin::Payload, "/2/sku"));
    assert_eq!(sources(&lineage, "/0/data/quantityOnHand").last(), Some(&(Origin::Payload, "/2/qty")));
    let names: Vec<&str> = lineage.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names[6..], ["/*/sku", "/*/qty", "/*/sku", "/*/qty"], "two cells and two columns");
}

#[test]
fn of_a_message_that_fails_it_is_found_what_mends_it() {
    let bundle = bundle("json", 17, 7, None);
    let lineage = traced(&bundle, r#"{"qty":"12","sku":"ABC-001"}"#, Plan::received());
    let Ending::Fails(failure) = &lineage.outcome else { panic!() };
    assert_eq!((failure.code, failure.pointer.as_str()), ("payload_schema_violation", "/qty"));
    assert_eq!(*effect_of(&lineage, "/qty", Change::Type), Effect::Maps(1));
    assert_eq!(*effect_of(&lineage, "/sku", Change::Value), Effect::None);
    assert_eq!(union([&lineage]).failing, 1);
}

#[test]
fn what_a_bound_leaves_out_is_named() {
    let items: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n}}}")).collect();
    let payload = format!(r#"{{"qty":12,"sku":"ABC-001","list":[{}]}}"#, items.join(","));
    let bundle = bundle("json", 17, 7, None);
    let lineage = traced(&bundle, &payload, Plan::received());
    let left = LeftOut { name: "/list/*/n".into(), inputs: 200, tried: limits::INPUTS_PER_NAME_MAX };
    assert!(lineage.left_out.contains(&left), "{:?}", lineage.left_out);

    let few = traced(&bundle, &payload, Plan { inputs: 7, ..Plan::received() });
    let left = LeftOut { name: "/list/*/n".into(), inputs: 200, tried: 2 };
    assert!(few.left_out.contains(&left), "each name once before one is tried twice: {:?}", few.left_out);

    let none = traced(&bundle, &payload, Plan { time: Duration::ZERO, ..Plan::received() });
    assert!(none.out_of_time);
    assert!(none.left_out.iter().any(|left| left.name == "/sku" && left.tried == 0));
    assert_eq!(none.outputs.len(), 4, "what the message comes to is known even so");
}

#[test]
fn a_place_is_matched_with_and_without_its_position() {
    assert!(is_at("/0/data/lines/3/sku", "/*/data/lines/*/sku"));
    assert!(is_at("/0/data/sku", "/0/data/sku"));
    assert!(!is_at("/1/data/sku", "/0/data/sku"));
    assert!(!is_at("/0/data", "/0/data/sku"));
}
