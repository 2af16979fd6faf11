//! What a mapper may try, and what it gets: each limit, and the next event served after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{PRELUDE, host, load, module, with};
use sluice_mapper_host::limits::{
    ERROR_BYTES_MAX, MEMORY_BYTES_MAX, META_BYTES_MAX, OUTPUT_BYTES_MAX, PAYLOAD_BYTES_MAX, fuel,
    memory_bytes, output_bytes,
};
use sluice_mapper_host::{MapFault, TrapReason};

const META: &[u8] = b"{}";

/// Runs a hostile event between two good ones, twice, and gives its fault.
fn fault_of(text: &str) -> MapFault {
    let host = host();
    let (mapper, bystander) = (load(&host, text), load(&host, &module("(unreachable)")));
    let good = |mapper: &sluice_mapper_host::Mapper| {
        assert_eq!(mapper.map(META, b"good").unwrap().output, b"good");
    };
    good(&mapper);
    let first = mapper.map(META, b"X").expect_err("the hostile event");
    good(&mapper);
    good(&bystander);
    assert_eq!(mapper.map(META, b"X").expect_err("the hostile event again"), first);
    good(&mapper);
    first
}

fn hostile(instructions: &str) -> MapFault {
    fault_of(&module(instructions))
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let fault = hostile("(block (result i32) (loop $again (br $again)) (unreachable))");
    assert_eq!(fault, MapFault::OutOfFuel { fuel: fuel(META.len() + 1) });
    assert_eq!((fuel(3), fuel(5 << 20)), (5_006_000, 2_000_000_000));
    // One that does work, and one that works in bulk.
    for instructions in [
        "(block (result i32) (loop $again
            (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1))) (br $again)) (unreachable))",
        "(block (result i32) (loop $again
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $again)) (unreachable))",
        "(block (result i32) (loop $again (drop (memory.grow (i32.const 0))) (br $again)) (unreachable))",
    ] {
        assert_eq!(hostile(instructions).code(), "mapper_out_of_fuel", "{instructions}");
    }
}

#[test]
fn an_endless_loop_anywhere_else_runs_out_of_fuel_too() {
    let endless = "(loop $again (br $again))";
    let initialize = with(PRELUDE, "(unreachable)", &format!(r#"(func (export "_initialize") {endless})"#));
    let realloc = PRELUDE.replace("(local $start i32)", &format!("(local $start i32) {endless}"));
    let host = host();
    for text in [initialize, with(&realloc, "(unreachable)", "")] {
        let fault = load(&host, &text).map(META, b"good").unwrap_err();
        assert_eq!(fault.code(), "mapper_out_of_fuel");
    }
}

#[test]
fn recursion_without_end_overflows_the_stack() {
    let text = with(
        PRELUDE,
        "(call $deeper (i32.const 0))",
        "(func $deeper (param i32) (result i32)
           (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))",
    );
    assert_eq!(fault_of(&text), MapFault::StackOverflow);
}

#[test]
fn memory_ends_at_its_bound() {
    let until_refused = "(loop $again
          (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    assert_eq!(
        hostile(&format!("(block (result i32) {until_refused} (unreachable))")),
        MapFault::OutOfMemory { bytes_max: memory_bytes(3) }
    );
    let at_once = "(block (result i32) (drop (memory.grow (i32.const 513))) (unreachable))";
    assert_eq!(hostile(at_once), MapFault::OutOfMemory { bytes_max: memory_bytes(3) });
    // Asking costs fuel by the page, so that asking for 4 GiB costs more than there is.
    let far_beyond = "(block (result i32) (drop (memory.grow (i32.const 65535))) (unreachable))";
    assert_eq!(hostile(far_beyond).code(), "mapper_out_of_fuel");
    // Who takes no for an answer goes on, with 32 MiB and a page for its three bytes of input.
    let host = host();
    let content = load(
        &host,
        &module(&format!(
            "(block (result i32) {until_refused}
               (call $answer (i32.const 0) (local.get $payload) (local.get $len)))"
        )),
    );
    let mapped = content.map(META, b"X").unwrap();
    assert_eq!((mapped.output.as_slice(), mapped.memory_bytes), (&b"X"[..], (32 << 20) + 65_536));
    assert_eq!(content.map(META, b"good").unwrap().memory_bytes, 65_536, "and the next starts anew");
    // A larger message may have more of it, and the largest no more than all.
    let mebibyte = vec![b'X'; 1 << 20];
    assert_eq!(content.map(META, &mebibyte).unwrap().memory_bytes, memory_bytes(2 + (1 << 20)));
    assert_eq!(memory_bytes(2 + (1 << 20)), (32 << 20) + (16 << 20) + 65_536);
    assert_eq!(memory_bytes(PAYLOAD_BYTES_MAX + META_BYTES_MAX), MEMORY_BYTES_MAX);
}

#[test]
fn tables_end_at_their_bound() {
    let text = with(
        PRELUDE,
        "(block (result i32)
           (i32.store (i32.const 32) (table.grow $t (ref.null func) (i32.const 10001)))
           (i32.store (i32.const 36) (table.grow $t (ref.null func) (i32.const 9999)))
           (i32.store (i32.const 40) (table.grow $t (ref.null func) (i32.const 1)))
           (call $answer (i32.const 0) (i32.const 32) (i32.const 12)))",
        "(table $t 1 funcref)",
    );
    let output = load(&host(), &text).map(META, b"X").unwrap().output;
    let words: Vec<i32> = output.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word)).collect();
    assert_eq!(words, [-1, 1, -1]);
}

#[test]
fn traps_are_told_apart() {
    for (instructions, reason) in [
        ("(unreachable)", TrapReason::Unreachable),
        ("(i32.load (i32.const 65536))", TrapReason::MemoryOutOfBounds),
        ("(i32.load (i32.const -1))", TrapReason::MemoryOutOfBounds),
        ("(i32.load offset=4294967295 (i32.const -1))", TrapReason::MemoryOutOfBounds),
        (
            "(block (result i32) (i32.store8 (i32.const 65536) (i32.const 1)) (i32.const 0))",
            TrapReason::MemoryOutOfBounds,
        ),
        (
            "(block (result i32) (memory.copy (i32.const 0) (i32.const 65535) (i32.const 2)) (i32.const 0))",
            TrapReason::MemoryOutOfBounds,
        ),
        (
            "(i32.div_s (i32.const 1) (i32.sub (local.get $len) (local.get $len)))",
            TrapReason::IntegerDivisionByZero,
        ),
        (
            "(i32.div_s (i32.const 0x80000000) (i32.sub (i32.const 0) (local.get $len)))",
            TrapReason::IntegerOverflow,
        ),
        ("(i32.trunc_f64_s (f64.div (f64.const 0) (f64.const 0)))", TrapReason::BadConversionToInteger),
    ] {
        assert_eq!(hostile(instructions), MapFault::Trapped { reason }, "{instructions}");
    }
    let table = "(type $f (func (result i32))) (table 2 funcref) (elem (i32.const 0) $no) (func $no)";
    for (index, reason) in [
        (0, TrapReason::BadSignature),
        (1, TrapReason::IndirectCallToNull),
        (2, TrapReason::TableOutOfBounds),
    ] {
        let text = with(PRELUDE, &format!("(call_indirect (type $f) (i32.const {index}))"), table);
        assert_eq!(fault_of(&text), MapFault::Trapped { reason });
    }
}

#[test]
fn data_that_does_not_fit_is_a_trap_of_every_event() {
    let mapper = load(&host(), &with(PRELUDE, "(unreachable)", r#"(data (i32.const 65535) "ab")"#));
    for _ in 0..2 {
        let fault = mapper.map(META, b"good").unwrap_err();
        assert_eq!(fault, MapFault::Trapped { reason: TrapReason::MemoryOutOfBounds });
    }
}

#[test]
fn output_is_bounded() {
    let of = |length: u32, payload: &[u8]| {
        load(
            &host(),
            &module(&format!(
                "(block (result i32) (drop (memory.grow (i32.const 300)))
                   (call $answer (i32.const 0) (i32.const 64) (i32.const {length})))"
            )),
        )
        .map(META, payload)
    };
    // It grows with the message, up to what no message goes beyond.
    let mebibyte = vec![b'X'; 1 << 20];
    assert_eq!((output_bytes(3), output_bytes(3 + (1 << 20))), (262_144 + 72, OUTPUT_BYTES_MAX));
    for (payload, bytes_max) in [(&b"X"[..], output_bytes(3)), (&mebibyte, OUTPUT_BYTES_MAX)] {
        assert_eq!(of(bytes_max as u32, payload).unwrap().output.len(), bytes_max);
        assert_eq!(
            of(bytes_max as u32 + 1, payload),
            Err(MapFault::OutputTooLarge { bytes: bytes_max as u64 + 1, bytes_max })
        );
    }
    let bytes_max = output_bytes(3);
    assert_eq!(of(u32::MAX, b"X"), Err(MapFault::OutputTooLarge { bytes: u64::from(u32::MAX), bytes_max }));
    assert_eq!(of(0, b"X").unwrap().output, b"");
}

#[test]
fn pointers_and_lengths_that_lie_break_the_abi() {
    for instructions in [
        // The output starts, or ends, outside.
        "(call $answer (i32.const 0) (i32.const 65536) (i32.const 1))",
        "(call $answer (i32.const 0) (i32.const 65535) (i32.const 2))",
        "(call $answer (i32.const 0) (i32.const -1) (i32.const 1))",
        "(call $answer (i32.const 0) (i32.const -1) (i32.const 262144))",
        "(call $answer (i32.const 1) (i32.const 65535) (i32.const 2))",
        // The result's area does.
        "(i32.const 65528)",
        "(i32.const -4)",
        // Or is not aligned.
        "(i32.const 17)",
        // No such variant.
        "(call $answer (i32.const 2) (i32.const 0) (i32.const 0))",
        "(call $answer (i32.const 255) (i32.const 0) (i32.const 0))",
    ] {
        assert_eq!(hostile(instructions).code(), "mapper_abi_violation", "{instructions}");
    }
    let host = host();
    for pointer in ["65536", "-1", "65535"] {
        let realloc = format!(
            r#"(memory (export "memory") 1)
               (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const {pointer}))
               (func $answer (param i32 i32 i32) (result i32) unreachable)"#
        );
        let fault = load(&host, &with(&realloc, "(unreachable)", "")).map(META, b"good").unwrap_err();
        assert_eq!(fault.code(), "mapper_abi_violation", "{pointer}");
    }
}

#[test]
fn a_refusal_is_a_small_object_or_malformed() {
    let refusing = |json: &str| {
        let data: String = json.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        module_with_data(&data, json.len())
    };
    assert_eq!(
        fault_of(&refusing(r#"{"code":"sku_missing","path":"/lines/0","message":"no sku \u00e9"}"#)),
        MapFault::Refused {
            code: "sku_missing".to_owned(),
            path: "/lines/0".to_owned(),
            message: "no sku é".to_owned()
        }
    );
    let long = format!(r#"{{"code":"{}","path":"","message":""}}"#, "a".repeat(65));
    for json in [
        "",
        "sku_missing",
        "[]",
        r#"{"code":"a","path":""}"#,
        r#"{"code":"a","path":"","message":""} "x""#,
        r#"{"code":"a","path":"","message":"","retry":true}"#,
        r#"{"code":"a","code":"b","path":"","message":""}"#,
        r#"{"code":7,"path":"","message":""}"#,
        r#"{"code":"","path":"","message":""}"#,
        r#"{"code":"Sku Missing","path":"","message":""}"#,
        r#"{"code":"a","path":"lines","message":""}"#,
        r#"{"code":"a","path":"","message":"two\nlines"}"#,
        &long,
    ] {
        let fault = fault_of(&refusing(json));
        assert_eq!(fault.code(), "mapper_error_malformed", "{json}: {fault}");
    }
    // Not UTF-8, and too long, which is not even read.
    assert_eq!(fault_of(&module_with_data(r"\ff\fe", 2)).code(), "mapper_error_malformed");
    let fault = fault_of(&module_with_data("", ERROR_BYTES_MAX + 1));
    assert_eq!(fault, MapFault::ErrorMalformed { what: "it has 4097 bytes".to_owned() });
}

fn module_with_data(data: &str, length: usize) -> String {
    with(
        PRELUDE,
        &format!("(call $answer (i32.const 1) (i32.const 2048) (i32.const {length}))"),
        &format!(r#"(data (i32.const 2048) "{data}")"#),
    )
}

#[test]
fn input_is_bounded_before_anything_runs() {
    let mapper = load(&host(), &module("(unreachable)"));
    let largest = vec![b'a'; PAYLOAD_BYTES_MAX];
    assert_eq!(mapper.map(&vec![b' '; META_BYTES_MAX], &largest).unwrap().output, largest);
    assert_eq!(
        mapper.map(META, &vec![b'a'; PAYLOAD_BYTES_MAX + 1]),
        Err(MapFault::InputTooLarge {
            what: "payload",
            bytes: PAYLOAD_BYTES_MAX + 1,
            bytes_max: PAYLOAD_BYTES_MAX
        })
    );
    assert_eq!(mapper.map(&vec![b' '; META_BYTES_MAX + 1], b"").unwrap_err().code(), "payload_too_large");
    assert_eq!(mapper.map(b"", b"").unwrap().output, b"");
}

/// Answers with what earlier events may have left: a global, a table's entry, the size of the memory, and the sum of all
/// of a memory of 2 MiB, then leaves something in each.
const MEMORY_OF_EVENTS: &str = r#"(module
  (memory (export "memory") 32)
  (global $seen (mut i32) (i32.const 0))
  (table $t 2 funcref)
  (elem declare func $f)
  (func $f)
  (data (i32.const 100) "\01\02")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "map") (param i32 i32 i32 i32) (result i32)
    (local $at i32) (local $sum i64)
    (i32.store (i32.const 32) (global.get $seen))
    (i32.store (i32.const 36) (ref.is_null (table.get $t (i32.const 1))))
    (i32.store (i32.const 40) (memory.size))
    (local.set $at (i32.const 4096))
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
      (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 2097152))))
    (i64.store (i32.const 48) (i64.add (local.get $sum) (i64.load16_u (i32.const 100))))
    (global.set $seen (i32.const 1))
    (table.set $t (i32.const 1) (ref.func $f))
    (i32.store16 (i32.const 100) (i32.const 0xffff))
    (memory.fill (i32.const 4096) (i32.const 0xaa) (i32.const 1000000))
    (i64.store (i32.const 2097144) (i64.const -1))
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (i32.const 32))
    (i32.store (i32.const 24) (i32.const 24))
    (i32.const 16)))"#;

#[test]
fn no_event_sees_what_an_earlier_one_left() {
    let host = host();
    let mapper = load(&host, MEMORY_OF_EVENTS);
    let first = mapper.map(META, b"").unwrap();
    let words: Vec<u32> = first.output.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    assert_eq!(words, [0, 1, 32, 0, 0x0201, 0]);
    let other = load(&host, &module("(unreachable)"));
    for round in 0..200 {
        assert_eq!(mapper.map(META, b"").unwrap(), first, "round {round}");
        // Other mappers take over the same places in the pool.
        let _ = other.map(META, if round % 2 == 0 { b"X" } else { b"y" });
    }
}

#[test]
fn the_same_event_gives_the_same_bytes_and_fuel_from_every_thread() {
    let host = host();
    let mapper = load(&host, MEMORY_OF_EVENTS);
    let first = mapper.map(META, b"payload").unwrap();
    assert!(first.fuel_used > 500_000, "{}", first.fuel_used);
    std::thread::scope(|scope| {
        // Many more than the pool has places.
        for _ in 0..80 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(mapper.map(META, b"payload").as_ref(), Ok(&first));
                }
            });
        }
    });
}

#[test]
fn nans_have_one_form() {
    let text = module(
        "(block (result i32)
           (f64.store (i32.const 32) (f64.div (f64.convert_i32_u (i32.sub (local.get $len) (i32.const 1))) (f64.const 0)))
           (f64.store (i32.const 40) (f64.sqrt (f64.const -1)))
           (f32.store (i32.const 48) (f32.sub (f32.const inf) (f32.const inf)))
           (call $answer (i32.const 0) (i32.const 32) (i32.const 20)))",
    );
    let output = load(&host(), &text).map(META, b"X").unwrap().output;
    assert_eq!(output[..8], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(output[8..16], 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    assert_eq!(output[16..], 0x7fc0_0000_u32.to_le_bytes());
}

#[test]
fn an_initializer_runs_once_before_anything_else() {
    let prelude = PRELUDE.replace("(i32.const 1024)", "(i32.const 70000)");
    let text = with(
        &prelude,
        "(call $answer (i32.const 0) (i32.const 1024) (i32.const 1))",
        r#"(func (export "_initialize")
             (global.set $next (i32.const 2048))
             (i32.store8 (i32.const 1024) (i32.add (i32.load8_u (i32.const 1024)) (i32.const 65))))"#,
    );
    let mapper = load(&host(), &text);
    for _ in 0..2 {
        assert_eq!(mapper.map(META, b"X").unwrap().output, b"A");
    }
}
