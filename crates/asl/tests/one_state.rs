//! One state, run by itself: what `TestState` of AWS answers.
//!
//! Each case was written for this test; what is expected is what AWS recorded for cases like it
//! (localstack/localstack, tests/aws/services/stepfunctions/v2/test_state/*.snapshot.json).

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_asl::{
    Definition, Inspection, ParseOptions, Start, StateTest, TestMock, TestOutcome, TestSetup, Timestamp,
};

fn setup(input: Value) -> TestSetup {
    TestSetup {
        start: Start { input, ..Start::example() },
        variables: BTreeMap::new(),
        context: None,
        mock: None,
        retry_count: 0,
        error_of_branch: false,
        failed_iterations: 0,
        reader_items: None,
    }
}

fn begin(state: &Value, setup: TestSetup) -> StateTest {
    let mut state = state.clone();
    state["QueryLanguage"] = "JSONata".into();
    let single = Definition::parse_state(&state.to_string(), None, &ParseOptions::default());
    let definition = single.unwrap_or_else(|errors| panic!("{errors}")).unwrap().definition;
    StateTest::start(Arc::new(definition), setup, Timestamp::from_millis(0), 1).unwrap()
}

fn run(state: &Value, setup: TestSetup) -> (TestOutcome, Inspection) {
    begin(state, setup).report()
}

fn invoke(more: Value) -> Value {
    let mut state = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "f", "Payload": "{% $states.input %}"}, "End": true,
    });
    for (name, value) in more.as_object().unwrap() {
        state[name] = value.clone();
    }
    state
}

fn failed(error: &str, cause: &str) -> Option<TestMock> {
    Some(Err((Some(error.to_owned()), Some(cause.to_owned()))))
}

#[test]
fn a_state_that_calls_nothing_is_left_at_once() {
    let state = json!({"Type": "Pass", "Assign": {"seen": "{% $states.input.a + $base %}"}, "Output": "{% $base %}", "Next": "Other"});
    let variables = BTreeMap::from([("base".to_owned(), json!(40))]);
    let (outcome, inspection) = run(&state, TestSetup { variables, ..setup(json!({"a": 2})) });
    assert_eq!(
        outcome,
        TestOutcome::Succeeded { output: Arc::new(json!(40)), next: Some("Other".to_owned()) }
    );
    assert_eq!(json!(inspection.variables), json!({"base": 40, "seen": 42}));

    let state = json!({"Type": "Wait", "Seconds": 100_000, "End": true});
    let (outcome, _) = run(&state, setup(json!(7)));
    assert_eq!(outcome, TestOutcome::Succeeded { output: Arc::new(json!(7)), next: None });

    let choice = json!({"Type": "Choice", "Choices": [{"Condition": "{% $states.input = 1 %}", "Next": "One"}], "Default": "StateName"});
    for (input, next) in [(1, "One"), (2, "StateName")] {
        let (outcome, _) = run(&choice, setup(json!(input)));
        let expected = TestOutcome::Succeeded { output: Arc::new(json!(input)), next: Some(next.to_owned()) };
        assert_eq!(outcome, expected);
    }

    let state = json!({"Type": "Fail", "Error": "E", "Cause": "{% $states.context.State.Name %}"});
    let (outcome, _) = run(&state, setup(json!({})));
    let (error, cause) = (Some("E".to_owned()), Some("StateName".to_owned()));
    assert_eq!(outcome, TestOutcome::Failed { error, cause });
}

#[test]
fn a_task_is_called_or_mocked() {
    let state = invoke(json!({"Output": "{% $states.result.Payload %}"}));
    let mut test = begin(&state, setup(json!({"n": 1})));
    let arguments = json!({"FunctionName": "f", "Payload": {"n": 1}});
    assert_eq!(*test.task().unwrap().arguments, arguments);
    test.finish(Ok(json!({"Payload": "called"})), Timestamp::from_millis(5), 1).unwrap();
    let (outcome, inspection) = test.report();
    assert_eq!(outcome, TestOutcome::Succeeded { output: Arc::new(json!("called")), next: None });
    assert_eq!(*inspection.after_arguments.unwrap(), arguments);
    assert_eq!(*inspection.result.unwrap(), json!({"Payload": "called"}));

    let mocked = TestSetup { mock: Some(Ok(json!({"Payload": "mocked"}))), ..setup(json!({})) };
    let (outcome, _) = run(&state, mocked);
    assert_eq!(outcome, TestOutcome::Succeeded { output: Arc::new(json!("mocked")), next: None });
}

#[test]
fn an_error_is_retriable_caught_or_final() {
    let state = invoke(json!({
        "Retry": [
            {"ErrorEquals": ["Other"]},
            {"ErrorEquals": ["Mock"], "IntervalSeconds": 3, "BackoffRate": 2, "MaxAttempts": 5},
        ],
        "Catch": [{"ErrorEquals": ["Mock"], "Output": "{% $states.errorOutput %}", "Next": "Handle"}],
    }));
    let with = |retry_count| TestSetup { mock: failed("Mock", "why"), retry_count, ..setup(json!({})) };
    let (error, cause) = (Some("Mock".to_owned()), Some("why".to_owned()));
    let (outcome, inspection) = run(&state, with(4));
    assert_eq!(outcome, TestOutcome::Retriable { error: error.clone(), cause: cause.clone() });
    assert_eq!((inspection.retry_index, inspection.retry_backoff_seconds), (Some(1), Some(48)));

    let (outcome, inspection) = run(&state, with(5));
    let output = Arc::new(json!({"Error": "Mock", "Cause": "why"}));
    let next = Some("Handle".to_owned());
    assert_eq!(outcome, TestOutcome::Caught { output, next, error, cause });
    assert_eq!((inspection.catch_index, inspection.retry_index), (Some(0), None));

    let (outcome, _) = run(&state, TestSetup { mock: failed("Strange", "why"), ..setup(json!({})) });
    let (error, cause) = (Some("Strange".to_owned()), Some("why".to_owned()));
    assert_eq!(outcome, TestOutcome::Failed { error, cause });
}

#[test]
fn a_map_is_judged_by_its_mock_and_its_thresholds() {
    let processor = json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}});
    let state = json!({
        "Type": "Map", "Items": "{% $states.input.values %}", "ItemProcessor": processor, "ToleratedFailureCount": 1,
        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"},
        "Catch": [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Handle"}], "End": true,
    });
    let with = |failed_iterations| TestSetup {
        mock: Some(Ok(json!([1, 1, 1]))),
        failed_iterations,
        ..setup(json!({"values": ["a", "b"]}))
    };
    let (outcome, inspection) = run(&state, with(1));
    assert_eq!(outcome, TestOutcome::Succeeded { output: Arc::new(json!([1, 1, 1])), next: None });
    assert_eq!((inspection.max_concurrency, inspection.tolerated_failure_count), (Some(0), Some(1)));
    assert_eq!(inspection.tolerated_failure_percentage, None);
    assert_eq!(inspection.after_item_selector, Some(json!([{"v": "a"}, {"v": "b"}])));
    let (outcome, inspection) = run(&state, with(2));
    let TestOutcome::Caught { error, cause, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.as_deref(), Some("States.ExceedToleratedFailureThreshold"));
    assert_eq!(cause.as_deref(), Some("The specified tolerated failure threshold was exceeded"));
    assert_eq!(inspection.catch_index, Some(0));

    let state = json!({
        "Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}},
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}, "Arguments": {"Bucket": "b", "Key": "k"}},
        "ToleratedFailurePercentage": 50, "End": true,
    });
    let read = |failed_iterations| TestSetup {
        mock: Some(Ok(json!([1]))),
        failed_iterations,
        reader_items: Some(vec![json!(1), json!(2), json!(3), json!(4)]),
        ..setup(json!({}))
    };
    assert!(matches!(run(&state, read(2)).0, TestOutcome::Succeeded { .. }), "half may fail");
    assert!(matches!(run(&state, read(3)).0, TestOutcome::Failed { .. }));

    let branch = json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}});
    let state = json!({"Type": "Parallel", "Branches": [branch], "End": true, "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "H"}]});
    let failing = |error_of_branch| TestSetup { mock: failed("E", "c"), error_of_branch, ..setup(json!({})) };
    assert!(matches!(run(&state, failing(true)).0, TestOutcome::Caught { .. }));
    assert!(matches!(run(&state, failing(false)).0, TestOutcome::Failed { .. }));
}

#[test]
fn a_context_object_stands_in_for_the_real_one() {
    let state = json!({"Type": "Pass", "Output": "{% $states.context %}", "End": true});
    let with = |context: Value| {
        let (outcome, _) = run(&state, TestSetup { context: Some(context), ..setup(json!({})) });
        let TestOutcome::Succeeded { output, .. } = outcome else { panic!("{outcome:?}") };
        Value::clone(&output)
    };
    assert_eq!(with(json!({})), json!({}));
    assert_eq!(with(json!({"Execution": {"Id": "x"}})), json!({"Execution": {"Id": "x"}}));
    let (outcome, _) = run(&state, setup(json!({"a": 1})));
    let TestOutcome::Succeeded { output, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(output["Execution"]["Input"], json!({"a": 1}));
    assert_eq!(output["State"]["RetryCount"], 0);
}

#[test]
fn a_state_is_found_wherever_it_is_in_its_machine() {
    let machine = json!({
        "QueryLanguage": "JSONata", "StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {
            "StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "End": true}}}}},
    });
    let options = ParseOptions::default();
    let single = Definition::parse_state(&machine.to_string(), Some("A"), &options).unwrap().unwrap();
    assert_eq!((single.name.as_str(), &single.state["Next"]), ("A", &json!("B")));
    assert!(Definition::parse_state(&machine.to_string(), Some("C"), &options).unwrap().is_none());
    let refused = Definition::parse_state("{\"Type\": \"Pass\", \"End\": true}", None, &options).unwrap_err();
    assert!(refused.to_string().contains("JSONPath"), "{refused}");
}

#[test]
fn the_variables_that_states_read_are_named() {
    let machine = json!({
        "QueryLanguage": "JSONata", "StartAt": "A", "States": {
            "A": {"Type": "Pass", "Assign": {"x": 1, "sum": "{% $y + $sum([1]) %}"}, "Next": "B"},
            "B": {"Type": "Choice", "Choices": [{"Condition": "{% $x > $max([1]) and $exists($z.a) %}", "Next": "C"}], "Default": "C"},
            "C": {"Type": "Pass", "Output": "{% ($l := 1; $l + $states.input) %}", "End": true},
        },
    });
    let definition = Definition::parse(&machine.to_string(), sluice_asl::MachineType::Standard).unwrap();
    assert_eq!(json!(definition.variable_references()), json!({"A": ["y"], "B": ["x", "z"]}));
}
