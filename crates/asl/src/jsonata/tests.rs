//! What JSONata gives here, pinned: jsonata-core's own behaviour where definitions rely on it, Step Functions' additions, the
//! bounds, and that no short cut gives anything else than the evaluator.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::random::Random;
use crate::time::Timestamp;

struct Map(BTreeMap<&'static str, Arc<Value>>);

impl Variables for Map {
    fn get(&self, name: &str) -> Option<&Arc<Value>> {
        self.0.get(name)
    }
}

const ALL: Available = Available { result: true, error_output: true };

/// 2026-11-21T08:30:00.123Z.
const NOW: i64 = 1_795_249_800_123;

struct World {
    input: Arc<Value>,
    variables: Map,
    random: Rc<Random>,
}

impl World {
    fn new(input: Value) -> Self {
        let variables = [("v", input.clone()), ("count", json!(7))];
        let variables = Map(variables.into_iter().map(|(name, value)| (name, Arc::new(value))).collect());
        World { input: Arc::new(input), variables, random: Rc::new(Random::new(42)) }
    }

    fn environment(&self) -> Environment<'_> {
        let execution = vec![
            ("Id", Node::Text("arn:1".into())),
            ("Input", Node::Shared(&self.input)),
            ("StartTime", Node::Time(Timestamp::from_millis(NOW))),
        ];
        let context = vec![
            ("Execution", Node::Members(execution)),
            ("State", Node::Members(vec![("RetryCount", Node::Number(0))])),
        ];
        let states = vec![("input", Node::Shared(&self.input)), ("context", Node::Members(context))];
        Environment {
            states: Node::Members(states),
            variables: &self.variables,
            at: Timestamp::from_millis(NOW),
            random: Rc::clone(&self.random),
        }
    }

    fn eval(&self, source: &str) -> Result<Value, String> {
        let expression = Expression::compile(source, ALL).map_err(|faults| format!("{faults:?}"))?;
        expression
            .evaluate(&self.environment(), "Output")
            .map(|value| Value::clone(&value))
            .map_err(|error| error.0)
    }
}

fn eval(source: &str) -> Value {
    World::new(json!({"a": {"b": [1]}, "n": null, "arr": [{"x": 1}, {"x": [2, 3]}], "s": "text"}))
        .eval(source)
        .unwrap()
}

fn fails(source: &str) -> String {
    World::new(json!({"a": 1, "s": "text"})).eval(source).unwrap_err()
}

fn refused(source: &str) -> Vec<String> {
    let faults = Expression::compile(source, Available::default()).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn delimiters() {
    assert_eq!(notation("{% $x %}"), Notation::Expression("$x"));
    assert_eq!(notation("{%$x%}"), Notation::Expression("$x"));
    assert_eq!(notation("{%%}"), Notation::Expression(""));
    for malformed in [" {% $x %}", "{% $x %} ", "{% $x", "$x %}", "{% $x }", "{%}"] {
        assert_eq!(notation(malformed), Notation::Malformed, "{malformed}");
    }
    for literal in ["", "x", "a {% b %} c", "%}x{%", "{ % x % }"] {
        assert_eq!(notation(literal), Notation::Literal, "{literal}");
    }
}

#[test]
fn paths_keep_arrays_and_nulls() {
    assert_eq!(eval("$states.input.a.b"), json!([1]), "an array of the data stays one");
    assert_eq!(eval("$states.input.n"), json!(null), "null is a value");
    assert_eq!(eval("$states.input.arr.x"), json!([1, 2, 3]), "a path maps and flattens");
    assert_eq!(eval("$states.input.arr[0].x"), json!(1));
    assert_eq!(eval("$states.input.arr[x=1]"), json!({"x": 1}), "a sequence of one is its item");
    assert_eq!(eval("$states.input.arr[x=1][]"), json!([{"x": 1}]));
    assert_eq!(
        eval("$states.input.arr.%.s"),
        json!(["text", "text"]),
        "a parent is there although only arr is named"
    );
    assert_eq!(eval("$states.context.Execution.Input.s"), json!("text"));
    assert_eq!(eval("$states.context.Execution.StartTime"), json!("2026-11-21T08:30:00.123Z"));
    assert_eq!(eval("$keys($states.context.Execution)"), json!(["Id", "Input", "StartTime"]));
    assert_eq!(eval("$v.s & $states.input.s"), json!("texttext"));
    assert_eq!(eval("$count"), json!(7), "a variable hides the function of its name");
    assert_eq!(eval("$exists($count) ? $sum([1, 2]) : 0"), json!(3));
    assert_eq!(eval("$states.input.{'t': s}"), json!({"t": "text"}));
}

#[test]
fn undefined_and_functions_are_errors() {
    assert_eq!(
        fails("$states.input.b"),
        "The JSONata expression '$states.input.b' specified for the field 'Output' returned nothing (undefined)."
    );
    assert_eq!(
        fails("$nothing"),
        "The JSONata expression '$nothing' specified for the field 'Output' returned nothing (undefined)."
    );
    assert_eq!(
        fails("$states.input.a.b.c"),
        "The JSONata expression '$states.input.a.b.c' specified for the field 'Output' returned nothing (undefined)."
    );
    assert_eq!(
        fails("function($x) { $x }"),
        "The JSONata expression 'function($x) { $x }' specified for the field 'Output' returned an unsupported result type."
    );
    assert_eq!(
        fails("$sum"),
        "The JSONata expression '$sum' specified for the field 'Output' returned an unsupported result type."
    );
    assert!(
        fails("$states.input.s + 1").contains("threw an error during evaluation. T2001: "),
        "{}",
        fails("$states.input.s + 1")
    );
    assert!(fails("$error('no')").contains("D3137: no"), "{}", fails("$error('no')"));
    assert!(fails("$nofunction(1)").contains("threw an error"));
    assert_eq!(eval("$exists($states.input.zzz)"), json!(false));
    assert_eq!(eval("{'a': $states.input.zzz, 'b': 1}"), json!({"b": 1}));
}

#[test]
fn what_a_definition_may_not_say() {
    assert_eq!(
        refused("foo.bar"),
        ["reference to 'foo' at the top level is not supported; read the state's input as $states.input"]
    );
    assert_eq!(refused("$map($v, function($x) { b })").len(), 1);
    assert_eq!(refused("$").len(), 1);
    assert_eq!(refused("$$"), ["reference to '$$' is not supported"]);
    assert_eq!(refused("*").len(), 1);
    assert_eq!(refused("$eval('1')"), ["function $eval is not supported; use $parse to read JSON"]);
    assert_eq!(refused("$map(['1'], $eval)").len(), 1);
    assert_eq!(refused("$v ?? 1"), ["operator '??' is newer than JSONata 2.0.6, which AWS runs"]);
    assert_eq!(refused("$v ?: 1").len(), 1);
    assert_eq!(refused("$states.result"), ["$states.result is not available in this field"]);
    assert_eq!(refused("$states.errorOutput.Error"), ["$states.errorOutput is not available in this field"]);
    assert_eq!(refused("$states.imput"), ["$states has no member 'imput'"]);
    assert_eq!(refused("($states := 1)"), ["$states is reserved and cannot be bound"]);
    assert_eq!(refused("a + b").len(), 2, "every fault at once");
    assert_eq!(refused("a[1,2)").len(), 1);
    assert_eq!(refused("").len(), 1);
    for accepted in [
        "$states.input.items[value > 3].name",
        "$states.input^(>price).name",
        "$states.input.items{sku: $sum(n)}",
        "($x := $states.input; $f := function($n) { $n = 0 ? 0 : $f($n - 1) }; $f($x))",
        "$states.input.items@$i.orders[id = $i.id]",
        "$states.input ~> |items|{'x': y}|",
        "$map($states.input, function($i) { $i.name })",
        "$states",
    ] {
        assert!(Expression::compile(accepted, Available::default()).is_ok(), "{accepted}");
    }
}

#[test]
fn functions_of_step_functions() {
    assert_eq!(eval("$partition([1, 2, 3, 4, 5], 2)"), json!([[1, 2], [3, 4], [5]]));
    assert_eq!(eval("$partition([1, 2, 3], 2.9)"), json!([[1, 2], [3]]), "rounded towards zero");
    assert_eq!(eval("$partition([1, 2], 5)"), json!([[1, 2]]));
    assert_eq!(eval("$range(0, 10, 5)"), json!([0, 5, 10]));
    assert_eq!(eval("$range(10, 1, -4)"), json!([10, 6, 2]));
    assert_eq!(eval("$range(-1.7, 2, 1)"), json!([-1, 0, 1, 2]));
    assert_eq!(eval("$range(3, 3, 1)"), json!(3), "one item is the item");
    assert_eq!(eval("$hash('abc', 'MD5')"), json!("900150983cd24fb0d6963f7d28e17f72"));
    assert_eq!(eval("$hash('abc', 'SHA-1')"), json!("a9993e364706816aba3e25717850c26c9cd0d89d"));
    assert_eq!(
        eval("$hash('abc', 'SHA-256')"),
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(eval("$length($hash('abc', 'SHA-384'))"), json!(96));
    assert_eq!(eval("$length($hash('abc', 'SHA-512'))"), json!(128));
    assert_eq!(eval("$parse('{\"a\": [1, null]}').a[0]"), json!(1));
    assert_eq!(eval("$parse('\"é\"')"), json!("é"));
    for nothing in [
        "$partition([1], 0)",
        "$partition([], 1)",
        "$range(1, 2)",
        "$range(1, 2, -1)",
        "$range(1, 2, 0)",
        "$hash('a')",
        "$parse($nothing)",
    ] {
        assert!(fails(nothing).contains("returned nothing"), "{nothing}");
    }
    for thrown in [
        "$hash('a', 'md5')",
        "$parse('{')",
        "$parse(1)",
        "$partition('a', 1)",
        "$range('a', 1, 1)",
        "$range(1, 360146, 1)",
        "$partition([1], -1)",
        "$random('x')",
    ] {
        assert!(fails(thrown).contains("threw an error"), "{thrown}: {}", fails(thrown));
    }
    assert_eq!(eval("$count($range(1, 360145, 1)) = 360145"), json!(true));
}

#[test]
fn the_clock_and_chance_are_the_inputs() {
    assert_eq!(eval("$millis()"), json!(NOW));
    assert_eq!(eval("$now()"), json!("2026-11-21T08:30:00.123Z"));
    assert_eq!(eval("$now('[Y]/[M01] [z]', '+0200')"), json!("2026/11 GMT+02:00"));
    assert_eq!(eval("$map([1], $millis)"), json!(NOW), "as a value too");
    assert_eq!(eval("$toMillis('2017-11-07T15:07:54.972Z')"), json!(1_510_067_274_972_i64));
    assert_eq!(eval("$toMillis('2018', '[Y]')"), json!(1_514_764_800_000_i64));
    assert_eq!(
        eval("$fromMillis($toMillis('10:15', '[H]:[m]'))"),
        json!("2026-11-21T10:15:00.000Z"),
        "today is the input's day"
    );
    assert_eq!(eval("$fromMillis($toMillis('24/12', '[D]/[M]'))"), json!("2026-12-24T00:00:00.000Z"));
    assert_eq!(eval("$fromMillis($toMillis('05', '[D]'))"), json!("2026-11-05T00:00:00.000Z"));
    for drawn in ["$random()", "$uuid()", "$shuffle([1..20])", "$map([1..3], $random)"] {
        let world = World::new(json!({}));
        let first = world.eval(drawn).unwrap();
        assert_ne!(first, world.eval(drawn).unwrap(), "{drawn} goes on");
        assert_eq!(first, World::new(json!({})).eval(drawn).unwrap(), "{drawn} repeats");
    }
    assert_eq!(eval("$random(7) = $random(7)"), json!(true));
    assert_eq!(eval("$random(7) = $random(8)"), json!(false));
    assert_eq!(eval("$sort($shuffle([3, 1, 2]))"), json!([1, 2, 3]));
}

#[test]
fn every_bound_holds() {
    let sum = |terms: usize| vec!["1"; terms].join("+");
    let nest = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    let recurse =
        |calls: usize| format!("($f := function($n) {{ $n = 0 ? 0 : 1 + $f($n - 1) }}; $f({calls}))");
    assert_eq!(eval(&sum(100)), json!(100), "AWS's ceiling is a depth of 100");
    assert_eq!(eval(&nest(99)), json!(1));
    assert_eq!(eval(&recurse(31)), json!(31));
    for deep in [sum(103), nest(103), recurse(34)] {
        assert!(fails(&deep).contains("D1011"), "{}", fails(&deep));
    }
    assert!(fails("[1..873783]").contains("D2015"));
    assert!(fails("$map([1..1000000], function($i) { $i })").contains("D2015"));
    assert_eq!(
        eval("$reduce([1..100], function($a, $b) { {'a': $a} })").to_string().matches('{').count(),
        99
    );
    assert!(fails("$reduce([1..200], function($a, $b) { {'a': $a} })").contains("nested more than 100"));
}

#[test]
fn nesting_is_refused_before_it_hurts() {
    for levels in [900, 100_000] {
        let expressions = [
            format!("{}1{}", "(".repeat(levels), ")".repeat(levels)),
            vec!["1"; levels].join("+"),
            format!("$v{}", ".a".repeat(levels)),
            format!("{}1{}", "[".repeat(levels), "]".repeat(levels)),
        ];
        for expression in expressions {
            if let Ok(compiled) = Expression::compile(&expression, ALL) {
                let _ = compiled.evaluate(&World::new(json!({})).environment(), "Output");
            }
        }
    }
    assert!(Expression::compile(&"(".repeat(900), ALL).is_err());
}

#[test]
fn an_endless_tail_call_ends() {
    let message = fails("($f := function($n) { $f($n + 1) }; $f(0))");
    assert!(message.contains("D1012"), "{message}");
}

#[test]
fn numbers_no_json_has_become_text() {
    assert_eq!(eval("1/0"), json!("Infinity"));
    assert_eq!(eval("[-1/0]"), json!(["-Infinity"]));
    assert_eq!(eval("0.1 + 0.2"), json!(0.30000000000000004));
    assert_eq!(eval("1.0"), json!(1));
    assert_eq!(eval("$string(1e20)"), json!("100000000000000000000"));
}

#[test]
fn unexpected_results_are_shown_short() {
    let expression = Expression::compile("$states.input", ALL).unwrap();
    let error = expression.unexpected("Seconds", "number", &json!("é".repeat(400)));
    assert!(error.0.starts_with("The JSONata expression '$states.input' specified for the field 'Seconds' returned an unexpected result type. Expected 'number', but was 'string' for value: \"éé"), "{}", error.0);
    assert!(error.0.len() < 450);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The evaluator with everything bound is the reference.
    #[test]
    fn short_cuts_change_nothing(
        input in any_json(),
        root in prop_oneof![Just("$states.input"), Just("$v"), Just("$states.context.Execution.Input")],
        path in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c"), Just("`a`")], 0..4),
        form in prop_oneof![Just("P"), Just("$exists(P)"), Just("[P]"), Just("{'p': P}"), Just("P[0]"), Just("P.*"), Just("P[a=1].b"), Just("P.(%.a)"), Just("$type(P)"), Just("P = $v.a"), Just("P#$i.b")],
    ) {
        let source = form.replace('P', &[&[root], path.as_slice()].concat().join("."));
        let world = World::new(input);
        let Ok(expression) = Expression::compile(&source, ALL) else {
            prop_assert!(form.contains('%'), "only a parent may be missing: {}", source);
            return Ok(());
        };
        let environment = world.environment();

        let mut context = Context::new();
        let mut all = Wanted::default();
        all.add([]);
        context.bind("states".to_owned(), environment.states.project(&all));
        context.bind("v".to_owned(), data::to_jsonata(world.variables.get("v").unwrap()));
        let options = EvaluatorOptions { max_stack_depth: Some(limits::EXPRESSION_DEPTH_MAX), ..EvaluatorOptions::default() };
        let reference = Evaluator::with_options(context, options).evaluate(&expression.ast, &JValue::Undefined);
        let reference = reference.ok().and_then(|result| data::from_jsonata(&result).ok().flatten());

        let actual = expression.evaluate(&environment, "Output").ok().map(|value| Value::clone(&value));
        prop_assert_eq!(actual, reference, "{}", source);
    }
}
