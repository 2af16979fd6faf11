//! The tools that people map JSON with, each as bytes in and bytes out, with its program in `programs/` compiled once.
//!
//! Invariants: every program is written as its tool's users would, and makes the same events as the mapper of `shopify-orders`;
//! that is checked before anything is timed. They do less than the mapper, which is in their favour: amounts that are too precise
//! for their currency are rounded rather than refused, only the currencies named in the program have not two decimal places, a
//! second currency is refused, and the metadata is not read.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::path::Path;

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Vars, unwrap_valr};
use jaq_json::Val;
use jsonata_core::Expression;
use jsonata_core::value::JValue;
use rquickjs::{Context, Function, Persistent, Runtime, Value as JsValue};
use vrl::compiler::runtime::Runtime as VrlRuntime;
use vrl::compiler::{TargetValue, TimeZone};
use vrl::value::{Secrets, Value as VrlValue};

/// A message to events, or why not.
pub(crate) type Map = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, String>>;

/// All of them, by name.
pub(crate) fn peers() -> Vec<(&'static str, Map)> {
    let program = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    vec![
        ("VRL 0.38", vrl(&program("order.vrl"))),
        ("jaq 3.1", jaq(&program("order.jq"))),
        ("jsonata-core 2.2", jsonata(&program("order.jsonata"))),
        ("QuickJS, warm (rquickjs 0.14)", quickjs(&program("order.js"))),
    ]
}

/// As Vector runs it: the message is decoded into the target, the program's last expression is what comes out.
fn vrl(program: &str) -> Map {
    let compiled = vrl::compiler::compile(program, &vrl::stdlib::all())
        .unwrap_or_else(|diagnostics| panic!("{}", vrl::diagnostic::Formatter::new(program, diagnostics)));
    let runtime = RefCell::new(VrlRuntime::default());
    let utc = TimeZone::parse("UTC").expect("a time zone");
    Box::new(move |message| {
        let value: VrlValue = serde_json::from_slice(message).map_err(|error| error.to_string())?;
        let metadata = VrlValue::Object(Default::default());
        let mut target = TargetValue { value, metadata, secrets: Secrets::default() };
        let mut runtime = runtime.borrow_mut();
        let mapped = runtime.resolve(&mut target, &compiled.program, &utc).map_err(|error| error.to_string());
        runtime.clear();
        serde_json::to_vec(&mapped?).map_err(|error| error.to_string())
    })
}

fn jaq(program: &str) -> Map {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs)
        .load(&arena, File { code: program, path: () })
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    let filter = jaq_core::Compiler::default()
        .with_funs(funs)
        .compile(modules)
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    Box::new(move |message| {
        let order = jaq_json::read::parse_single(message).map_err(|error| error.to_string())?;
        let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
        let mut results = filter.id.run((context, order)).map(unwrap_valr);
        let events = results.next().ok_or("no result")?.map_err(|error| error.to_string())?;
        let mut out = Vec::with_capacity(message.len());
        jaq_json::write::write(&mut out, &jaq_json::write::Pp::default(), 0, &events)
            .map_err(|error| error.to_string())?;
        Ok(out)
    })
}

fn jsonata(program: &str) -> Map {
    let expression = Expression::compile(program).unwrap_or_else(|error| panic!("{error}"));
    Box::new(move |message| {
        let message = doubles(message);
        let message = str::from_utf8(&message).map_err(|error| error.to_string())?;
        let order = JValue::from_json_str(message).map_err(|error| error.to_string())?;
        let events = expression.evaluate(&order).map_err(|error| error.to_string())?;
        events.to_json_string().map(String::into_bytes).map_err(|error| error.to_string())
    })
}

/// One context for all messages: faster, and less isolated, than a mapper's instance for each.
struct Warm {
    // Dropped before the context that it lives in.
    map: Persistent<Function<'static>>,
    context: Context,
}

fn quickjs(program: &str) -> Map {
    let runtime = Runtime::new().expect("a runtime");
    let context = Context::full(&runtime).expect("a context");
    let map = context.with(|js| {
        js.eval::<(), _>(program).expect("a script");
        Persistent::save(&js, js.globals().get::<_, Function<'_>>("map").expect("it defines map"))
    });
    let warm = Warm { map, context };
    Box::new(move |message| warm.run(message))
}

impl Warm {
    fn run(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.context.with(|js| {
            let run = || -> rquickjs::Result<Vec<u8>> {
                let order = js.json_parse(doubles(message))?;
                let events: JsValue<'_> = self.map.clone().restore(&js)?.call((order,))?;
                let text = js.json_stringify(events)?.ok_or(rquickjs::Error::Unknown)?;
                Ok(text.to_string()?.into_bytes())
            };
            run().map_err(|error| format!("{error}: {:?}", js.catch()))
        })
    }
}

/// The message for a tool that has only doubles: integers of 16 digits and more, which are Shopify's ids, as strings.
fn doubles(message: &[u8]) -> Cow<'_, [u8]> {
    const DIGITS_EXACT: usize = 15;
    let mut out = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while at < message.len() {
        match message[at] {
            b'"' => {
                at += 1;
                while at < message.len() && message[at] != b'"' {
                    at += if message[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < message.len()
                    && matches!(message[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                {
                    at += 1;
                }
                let number = &message[start..at];
                if number.len() > DIGITS_EXACT && number.iter().all(u8::is_ascii_digit) {
                    out.extend_from_slice(&message[copied..start]);
                    out.push(b'"');
                    out.extend_from_slice(number);
                    out.push(b'"');
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(message);
    }
    out.extend_from_slice(&message[copied..]);
    Cow::Owned(out)
}
