//! Every refusal, by name and place, and that no text makes the checks panic.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits;

fn refuse(definition: &Value) -> Vec<String> {
    match Definition::parse(&definition.to_string(), MachineType::Standard) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

fn machine(states: Value) -> Value {
    let start = states.as_object().unwrap().keys().next().unwrap().clone();
    json!({"QueryLanguage": "JSONata", "StartAt": start, "States": states})
}

/// The only fault of a machine whose state `S` is `state`.
#[track_caller]
fn fault(state: Value) -> String {
    let mut found = refuse(&machine(json!({"S": state})));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn task(more: Value) -> Value {
    with(json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true}), more)
}

fn with(mut state: Value, more: Value) -> Value {
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    state
}

#[track_caller]
fn accept(definition: &Value) {
    assert_eq!(refuse(definition), Vec::<String>::new());
}

#[test]
fn the_whole_language_is_accepted() {
    accept(&json!({
        "Comment": "c", "QueryLanguage": "JSONata", "Version": "1.0", "TimeoutSeconds": 5, "StartAt": "T",
        "States": {
            "T": {
                "Type": "Task", "Comment": "c", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::events:putEvents",
                "Arguments": {"Entries": ["{% $states.input %}"]}, "TimeoutSeconds": "{% 5 %}", "HeartbeatSeconds": 3,
                "Output": "{% $states.result %}", "Assign": {"x": "{% $states.result %}", "naïve_2": 1},
                "Retry": [{"ErrorEquals": ["A", "States.Timeout"], "Comment": "c", "IntervalSeconds": 1, "MaxAttempts": 0, "BackoffRate": 1.5, "MaxDelaySeconds": 5, "JitterStrategy": "NONE"}, {"ErrorEquals": ["States.ALL"]}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Comment": "c", "Next": "C", "Output": "{% $states.errorOutput %}", "Assign": {"x": "{% $states.errorOutput.Error %}"}}],
                "Next": "P",
            },
            "P": {"Type": "Pass", "Output": {"a": 1}, "Assign": {}, "Next": "C"},
            "C": {"Type": "Choice", "Choices": [{"Condition": "{% $x = 1 %}", "Next": "W", "Output": 1, "Assign": {"x": 2}, "Comment": "c"}, {"Condition": true, "Next": "L"}], "Default": "M", "Output": 3, "Assign": {"x": 3}},
            "W": {"Type": "Wait", "Seconds": 0, "Next": "W2"},
            "W2": {"Type": "Wait", "Timestamp": "2026-11-21T08:30:00Z", "End": true},
            "L": {"Type": "Parallel", "Arguments": {}, "Branches": [{"Comment": "c", "StartAt": "L1", "States": {"L1": {"Type": "Succeed", "Output": 1}}}], "Output": "{% $states.result %}", "Next": "F", "Retry": [], "Catch": []},
            "F": {"Type": "Fail", "Error": "{% 'E' %}", "Cause": "text"},
            "M": {"Type": "Map", "Items": [1, "{% 2 %}"], "ItemSelector": "{% $states.context.Map.Item.Value %}", "MaxConcurrency": "{% 3 %}", "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "M1", "States": {"M1": {"Type": "Pass", "Assign": {"y": "{% $x %}"}, "End": true}}}, "End": true},
        },
    }));
}

#[test]
fn what_is_no_state_machine() {
    let refuse = |text: &str| Definition::parse(text, MachineType::Express).unwrap_err().to_string();
    assert!(
        refuse("").starts_with("INVALID_JSON_DESCRIPTION at /: not a JSON document: EOF"),
        "{}",
        refuse("")
    );
    assert!(refuse("{\"a\": }").contains("line 1 column 7"));
    assert!(refuse("{} {}").starts_with("INVALID_JSON_DESCRIPTION"));
    assert_eq!(refuse("[]"), "SCHEMA_VALIDATION_FAILED at /: must be an object");
    assert!(refuse(&"[".repeat(200)).starts_with("INVALID_JSON_DESCRIPTION"));
    assert!(
        refuse(&format!("\"{}\"", "x".repeat(limits::DEFINITION_BYTES_MAX))).contains("more than 1048576")
    );
    // As AWS records it for ValidateStateMachineDefinition.
    assert_eq!(refuse("{}"), "SCHEMA_VALIDATION_FAILED at /: These fields are required: [States, StartAt]");
    assert!(
        refuse("{\"States\": {}}").starts_with(
            "NOT_SUPPORTED at /QueryLanguage: is missing, so the query language is JSONPath, which the local engine does not \
             support; set it to 'JSONata'; SCHEMA_VALIDATION_FAILED at /: These fields are required: [StartAt]"
        )
    );
}

#[test]
fn the_document_s_own_fields() {
    let base = machine(json!({"S": {"Type": "Succeed"}}));
    for (more, expected) in [
        (
            json!({"QueryLanguage": "JSONPath"}),
            "NOT_SUPPORTED at /QueryLanguage: query language 'JSONPath' is not supported by the local engine; use 'JSONata'",
        ),
        (
            json!({"QueryLanguage": "jsonata"}),
            "SCHEMA_VALIDATION_FAILED at /QueryLanguage: must be 'JSONata'",
        ),
        (json!({"Version": "2.0"}), "SCHEMA_VALIDATION_FAILED at /Version: must be '1.0'"),
        (json!({"Comment": 1}), "SCHEMA_VALIDATION_FAILED at /Comment: must be a string"),
        (
            json!({"TimeoutSeconds": 0}),
            "SCHEMA_VALIDATION_FAILED at /TimeoutSeconds: must be an integer between 1 and 99999999",
        ),
        (
            json!({"TimeoutSeconds": "{% 5 %}"}),
            "SCHEMA_VALIDATION_FAILED at /TimeoutSeconds: must be an integer between 1 and 99999999",
        ),
        (json!({"StartAt": "X"}), "MISSING_TRANSITION_TARGET at /StartAt: there is no state 'X'"),
        (json!({"StartAt": ""}), "SCHEMA_VALIDATION_FAILED at /StartAt: must not be empty"),
        (json!({"StartAt": 1}), "SCHEMA_VALIDATION_FAILED at /StartAt: must be a string"),
        (json!({"States": []}), "SCHEMA_VALIDATION_FAILED at /States: must be an object"),
        (json!({"States": {}}), "SCHEMA_VALIDATION_FAILED at /States: must have at least one state"),
        (json!({"Extra": 1}), "SCHEMA_VALIDATION_FAILED at /Extra: field 'Extra' is not supported here"),
        (
            json!({"ProcessorConfig": {}}),
            "SCHEMA_VALIDATION_FAILED at /ProcessorConfig: field 'ProcessorConfig' is not supported here",
        ),
    ] {
        assert_eq!(refuse(&with(base.clone(), more)), [expected]);
    }
}

#[test]
fn names_of_states() {
    let long = "n".repeat(81);
    let found = refuse(&machine(json!({long.as_str(): {"Type": "Succeed"}})));
    assert_eq!(
        found,
        [format!(
            "SCHEMA_VALIDATION_FAILED at /States/{long}: a state name has 1 to 80 characters, this has 81"
        )]
    );
    accept(&machine(json!({"é".repeat(80).as_str(): {"Type": "Succeed"}})));
    let twice = r#"{"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": {"Type": "Pass", "End": true}, "S": {"Type": "Succeed", "Output": {"a": 1, "a": 2}}}}"#;
    let errors = Definition::parse(twice, MachineType::Standard).unwrap_err();
    let found: Vec<_> = errors.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(found, ["/States/S", "/States/S/Output/a"]);
    assert_eq!(errors.0[0].message, "occurs twice in the same object");
    let nested = json!({"S": {"Type": "Parallel", "Branches": [{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}], "End": true}});
    assert_eq!(
        refuse(&machine(nested)),
        [
            "DUPLICATE_STATE_NAME at /States/S/Branches[0]/States/S: state name 'S' is used at /States/S already"
        ]
    );
}

#[test]
fn transitions() {
    assert_eq!(
        fault(json!({"Type": "Pass", "End": true, "Next": "S"})),
        "SCHEMA_VALIDATION_FAILED at /States/S: has both 'Next' and 'End'"
    );
    let found = refuse(&machine(json!({"S": {"Type": "Pass"}})));
    assert_eq!(
        found,
        [
            "SCHEMA_VALIDATION_FAILED at /States/S: needs 'Next' or 'End': true",
            "MISSING_END_STATE at /States: no state ends the machine"
        ]
    );
    let found = refuse(&machine(json!({"S": {"Type": "Pass", "End": "yes"}})));
    assert!(
        found.contains(&"SCHEMA_VALIDATION_FAILED at /States/S/End: must be a boolean".to_owned()),
        "{found:?}"
    );
    let found = refuse(&machine(json!({"S": {"Type": "Pass", "Next": "X"}, "E": {"Type": "Succeed"}})));
    assert_eq!(
        found,
        [
            "MISSING_TRANSITION_TARGET at /States/S/Next: there is no state 'X'",
            "MISSING_TRANSITION_TARGET at /States/E: state 'E' is not reachable"
        ]
    );
    let found = refuse(&machine(json!({"S": {"Type": "Pass", "Next": "S"}})));
    assert_eq!(found, ["MISSING_END_STATE at /States: no state ends the machine"]);
    for kind in ["Succeed", "Fail"] {
        assert_eq!(
            fault(json!({"Type": kind, "End": true})),
            "SCHEMA_VALIDATION_FAILED at /States/S/End: field 'End' is not supported here"
        );
    }
    let choice = json!({"S": {"Type": "Choice", "Choices": [{"Condition": true, "Next": "E"}], "Next": "E", "Default": "Y"}, "E": {"Type": "Succeed"}});
    assert_eq!(
        refuse(&machine(choice)),
        [
            "MISSING_TRANSITION_TARGET at /States/S/Default: there is no state 'Y'",
            "SCHEMA_VALIDATION_FAILED at /States/S/Next: field 'Next' is not supported here"
        ]
    );
}

#[test]
fn types_and_fields() {
    assert_eq!(
        refuse(&machine(json!({"S": 1, "E": {"Type": "Succeed"}})))[0],
        "SCHEMA_VALIDATION_FAILED at /States/S: must be an object"
    );
    let found = refuse(&machine(json!({"S": {"Type": "Activity", "End": true}})));
    assert_eq!(
        found[0],
        "SCHEMA_VALIDATION_FAILED at /States/S/Type: 'Activity' is not one of Task, Pass, Choice, Wait, Succeed, Fail, Parallel, Map"
    );
    assert_eq!(
        refuse(&machine(json!({"S": {"End": true}})))[0],
        "SCHEMA_VALIDATION_FAILED at /States/S: field 'Type' is missing"
    );
    for (state, field) in [
        (json!({"Type": "Pass", "End": true, "Arguments": {}}), "Arguments"),
        (json!({"Type": "Pass", "End": true, "Retry": []}), "Retry"),
        (json!({"Type": "Pass", "End": true, "TimeoutSeconds": 1}), "TimeoutSeconds"),
        (json!({"Type": "Succeed", "Assign": {}}), "Assign"),
        (json!({"Type": "Fail", "Output": 1}), "Output"),
        (json!({"Type": "Wait", "Seconds": 1, "End": true, "Catch": []}), "Catch"),
        (task(json!({"Items": []})), "Items"),
        (task(json!({"Resourse": ""})), "Resourse"),
    ] {
        assert_eq!(
            fault(state),
            format!("SCHEMA_VALIDATION_FAILED at /States/S/{field}: field '{field}' is not supported here")
        );
    }
    assert_eq!(
        fault(json!({"Type": "Pass", "End": true, "QueryLanguage": "JSONPath"})),
        "SCHEMA_VALIDATION_FAILED at /States/S: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
    );
}

#[test]
fn fields_of_the_other_query_language() {
    let refused = |state: Value, field: &str| {
        assert_eq!(
            fault(state),
            format!(
                "SCHEMA_VALIDATION_FAILED at /States/S/{field}: the query language is JSONata, but field '{field}' is only supported for JSONPath"
            )
        );
    };
    for field in [
        "InputPath",
        "OutputPath",
        "Parameters",
        "ResultPath",
        "ResultSelector",
        "TimeoutSecondsPath",
        "HeartbeatSecondsPath",
    ] {
        refused(task(json!({field: "$.x"})), field);
    }
    refused(json!({"Type": "Pass", "Result": 1, "End": true}), "Result");
    refused(json!({"Type": "Fail", "ErrorPath": "$.e"}), "ErrorPath");
    refused(json!({"Type": "Fail", "CausePath": "$.e"}), "CausePath");
    let map = json!({"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}, "End": true});
    refused(with(map.clone(), json!({"ItemsPath": "$.x"})), "ItemsPath");
    refused(with(map, json!({"MaxConcurrencyPath": "$.x"})), "MaxConcurrencyPath");
    let wait = refuse(&machine(json!({"S": {"Type": "Wait", "SecondsPath": "$.x", "End": true}})));
    assert!(
        wait.iter().any(|fault| fault.contains("field 'SecondsPath' is only supported for JSONPath")),
        "{wait:?}"
    );
    let rule = json!({"S": {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "a", "IsPresent": true, "Not": {}, "Next": "E"}]}, "E": {"Type": "Succeed"}});
    let found = refuse(&machine(rule));
    for field in ["Variable", "StringEquals", "IsPresent", "Not"] {
        assert!(
            found.iter().any(|fault| fault.starts_with(&format!(
                "SCHEMA_VALIDATION_FAILED at /States/S/Choices[0]/{field}: the query language is JSONata"
            ))),
            "{field}: {found:#?}"
        );
    }
    assert!(found[0].ends_with("/States/S/Choices[0]: field 'Condition' is missing"));
}

#[test]
fn resources() {
    let refused = |resource: &str| fault(json!({"Type": "Task", "Resource": resource, "End": true}));
    let known = format!("the local engine, which dispatches {}", SUPPORTED_RESOURCES.join(", "));
    for (resource, why) in [
        ("arn:aws:states:::http:invoke.waitForTaskToken", "it is"),
        ("arn:aws:states:::states:startExecution.sync", "run-a-job integrations ('.sync') are"),
        ("arn:aws:states:::states:startExecution.sync:2", "run-a-job integrations ('.sync') are"),
        (
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            "a function's own ARN is; call it by 'arn:aws:states:::lambda:invoke': it is",
        ),
        ("arn:aws:states:::aws-sdk:s3:copyObject", "it is"),
        ("arn:aws:states:::http:invoke", "it is"),
    ] {
        assert_eq!(
            refused(resource),
            format!(
                "NOT_SUPPORTED at /States/S/Resource: resource '{resource}': {why} not supported by {known}"
            )
        );
    }
    assert_eq!(refused(""), "SCHEMA_VALIDATION_FAILED at /States/S/Resource: must not be empty");
    assert_eq!(
        fault(json!({"Type": "Task", "End": true})),
        "SCHEMA_VALIDATION_FAILED at /States/S: field 'Resource' is missing"
    );
    assert!(
        fault(task(json!({"Credentials": {"RoleArn": "x"}})))
            .starts_with("NOT_SUPPORTED at /States/S/Credentials")
    );
    let only_http = ParseOptions { resources: &["arn:aws:states:::http:invoke"] };
    let http =
        machine(json!({"S": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "End": true}}))
            .to_string();
    let parsed = Definition::parse_with(&http, MachineType::Standard, &only_http).unwrap();
    assert_eq!(parsed.resources().collect::<Vec<_>>(), ["arn:aws:states:::http:invoke"]);
    assert!(Definition::parse(&http, MachineType::Standard).is_err());
}

#[test]
fn numbers_and_times() {
    for value in [json!(0), json!(-1), json!(1.5), json!(100_000_000), json!("5"), json!(null), json!([1])] {
        assert!(fault(task(json!({"TimeoutSeconds": value}))).starts_with("SCHEMA_VALIDATION_FAILED at /States/S/TimeoutSeconds: must be an integer between 1 and 99999999"), "{value}");
    }
    assert_eq!(
        fault(task(json!({"TimeoutSeconds": 5, "HeartbeatSeconds": 5}))),
        "SCHEMA_VALIDATION_FAILED at /States/S/HeartbeatSeconds: must be smaller than 'TimeoutSeconds'"
    );
    accept(&machine(json!({"S": task(json!({"TimeoutSeconds": 5.0, "HeartbeatSeconds": "{% 9 %}"}))})));
    let wait = |fields: Value| with(json!({"Type": "Wait", "End": true}), fields);
    assert_eq!(
        fault(wait(json!({}))),
        "SCHEMA_VALIDATION_FAILED at /States/S: needs exactly one of 'Seconds' and 'Timestamp'"
    );
    assert_eq!(
        fault(wait(json!({"Seconds": 1, "Timestamp": "2026-11-21T08:30:00Z"}))),
        "SCHEMA_VALIDATION_FAILED at /States/S: needs exactly one of 'Seconds' and 'Timestamp'"
    );
    for value in ["2026-11-21", "2026-11-21t08:30:00z", "soon"] {
        assert!(
            fault(wait(json!({"Timestamp": value}))).starts_with(
                "SCHEMA_VALIDATION_FAILED at /States/S/Timestamp: must be an RFC 3339 timestamp"
            ),
            "{value}"
        );
    }
    assert!(
        fault(wait(json!({"Seconds": -1})))
            .contains("/States/S/Seconds: must be an integer between 0 and 99999999")
    );
}

#[test]
fn expressions() {
    let output = |text: &str| fault(json!({"Type": "Pass", "Output": {"v": [text]}, "End": true}));
    assert!(
        output("{% a[1,2) %}")
            .starts_with("INVALID_JSONATA_EXPRESSION at /States/S/Output/v[0]: not a JSONata expression: ")
    );
    assert!(output("{%%}").starts_with("INVALID_JSONATA_EXPRESSION at /States/S/Output/v[0]"));
    assert!(output("{% phone %}").starts_with("UNSUPPORTED_JSONATA_EXPRESSION at /States/S/Output/v[0]: reference to 'phone' at the top level is not supported"));
    for malformed in [" {% 1 %}", "{% 1 %} ", "{% 1 }", "{% 1", "1 %}"] {
        assert_eq!(
            output(malformed),
            "SCHEMA_VALIDATION_FAILED at /States/S/Output/v[0]: a JSONata expression must start with '{%' and end with '%}', without spaces around them",
            "{malformed}"
        );
    }
    let unavailable = |state: Value, path: &str, member: &str| {
        assert_eq!(
            fault(state),
            format!(
                "UNSUPPORTED_JSONATA_EXPRESSION at /States/S/{path}: $states.{member} is not available in this field"
            )
        );
    };
    unavailable(task(json!({"Arguments": "{% $states.result %}"})), "Arguments", "result");
    unavailable(task(json!({"TimeoutSeconds": "{% $states.result.t %}"})), "TimeoutSeconds", "result");
    unavailable(task(json!({"Output": "{% $states.errorOutput %}"})), "Output", "errorOutput");
    unavailable(json!({"Type": "Pass", "Output": "{% $states.result %}", "End": true}), "Output", "result");
    unavailable(
        json!({"Type": "Pass", "Assign": {"a": {"b": "{% $states.result %}"}}, "End": true}),
        "Assign/a/b",
        "result",
    );
    unavailable(json!({"Type": "Succeed", "Output": "{% $states.result %}"}), "Output", "result");
    unavailable(json!({"Type": "Fail", "Error": "{% $states.errorOutput.Error %}"}), "Error", "errorOutput");
    let catch = json!({"S": task(json!({"Catch": [{"ErrorEquals": ["A"], "Next": "E", "Output": "{% $states.result %}"}]})), "E": {"Type": "Succeed"}});
    assert_eq!(
        refuse(&machine(catch)),
        [
            "UNSUPPORTED_JSONATA_EXPRESSION at /States/S/Catch[0]/Output: $states.result is not available in this field"
        ]
    );
    let rule = json!({"S": {"Type": "Choice", "Choices": [{"Condition": "{% $states.result = 1 %}", "Next": "E"}]}, "E": {"Type": "Succeed"}});
    assert_eq!(
        refuse(&machine(rule)),
        [
            "UNSUPPORTED_JSONATA_EXPRESSION at /States/S/Choices[0]/Condition: $states.result is not available in this field"
        ]
    );
}

#[test]
fn choices() {
    assert_eq!(
        refuse(&machine(json!({"S": {"Type": "Choice", "Default": "E"}, "E": {"Type": "Succeed"}}))),
        ["SCHEMA_VALIDATION_FAILED at /States/S: field 'Choices' is missing"]
    );
    assert_eq!(
        refuse(&machine(
            json!({"S": {"Type": "Choice", "Choices": [], "Default": "E"}, "E": {"Type": "Succeed"}})
        )),
        ["SCHEMA_VALIDATION_FAILED at /States/S/Choices: must not be empty"]
    );
    for condition in [json!("true"), json!(1), json!(null)] {
        let states = json!({"S": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "E"}]}, "E": {"Type": "Succeed"}});
        assert_eq!(
            refuse(&machine(states)),
            [
                "SCHEMA_VALIDATION_FAILED at /States/S/Choices[0]/Condition: must be a boolean or a JSONata expression"
            ]
        );
    }
    let states = json!({"S": {"Type": "Choice", "Choices": [{"Condition": true}], "Default": "E"}, "E": {"Type": "Succeed"}});
    assert_eq!(
        refuse(&machine(states)),
        ["SCHEMA_VALIDATION_FAILED at /States/S/Choices[0]: field 'Next' is missing"]
    );
}

#[test]
fn retriers_and_catchers() {
    let retry = |retrier: Value| fault(task(json!({"Retry": [retrier]})));
    for (more, expected) in [
        (json!({"IntervalSeconds": 0}), "/IntervalSeconds: must be an integer between 1 and 99999999"),
        (json!({"MaxAttempts": -1}), "/MaxAttempts: must be an integer between 0 and 99999999"),
        (
            json!({"MaxDelaySeconds": 31_622_400}),
            "/MaxDelaySeconds: must be an integer between 1 and 31622399",
        ),
        (json!({"BackoffRate": 0.5}), "/BackoffRate: must be a number of at least 1"),
        (json!({"BackoffRate": "2"}), "/BackoffRate: must be a number of at least 1"),
        (json!({"JitterStrategy": "full"}), "/JitterStrategy: must be 'FULL' or 'NONE'"),
        (json!({"Next": "S"}), "/Next: field 'Next' is not supported here"),
        (json!({"ErrorEquals": []}), "/ErrorEquals: must not be empty"),
        (json!({"ErrorEquals": "A"}), "/ErrorEquals: must be an array"),
        (json!({"ErrorEquals": [""]}), "/ErrorEquals[0]: must be an error name"),
        (
            json!({"ErrorEquals": ["States.TimeOut"]}),
            "/ErrorEquals[0]: there is no error name 'States.TimeOut'",
        ),
        (
            json!({"ErrorEquals": ["States.ALL", "A"]}),
            "/ErrorEquals: 'States.ALL' must be alone, and in the last entry",
        ),
    ] {
        assert_eq!(
            retry(with(json!({"ErrorEquals": ["A"]}), more)),
            format!("SCHEMA_VALIDATION_FAILED at /States/S/Retry[0]{expected}")
        );
    }
    assert_eq!(
        retry(json!({})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Retry[0]: field 'ErrorEquals' is missing"
    );
    assert_eq!(
        fault(task(json!({"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]}))),
        "SCHEMA_VALIDATION_FAILED at /States/S/Retry[0]/ErrorEquals: 'States.ALL' must be alone, and in the last entry"
    );
    assert_eq!(
        fault(task(json!({"Retry": {}}))),
        "SCHEMA_VALIDATION_FAILED at /States/S/Retry: must be an array"
    );
    assert_eq!(
        fault(task(json!({"Catch": [{"ErrorEquals": ["A"], "Next": "X"}]}))),
        "MISSING_TRANSITION_TARGET at /States/S/Catch[0]/Next: there is no state 'X'"
    );
    assert_eq!(
        fault(task(json!({"Catch": [{"ErrorEquals": ["A"]}]}))),
        "SCHEMA_VALIDATION_FAILED at /States/S/Catch[0]: field 'Next' is missing"
    );
    assert!(
        fault(task(json!({"Catch": [{"ErrorEquals": ["A"], "Next": "S", "ResultPath": "$.e"}]})))
            .contains("field 'ResultPath' is only supported for JSONPath")
    );
}

#[test]
fn variables() {
    let assign = |name: &str| fault(json!({"Type": "Pass", "Assign": {name: 1}, "End": true}));
    for name in ["", "1a", "_a", "a-b", "a.b", "a b", "$a", &"v".repeat(81)] {
        assert!(assign(name).contains(&format!("'{name}' is no variable name")), "{name}");
    }
    assert_eq!(
        assign("states"),
        "SCHEMA_VALIDATION_FAILED at /States/S/Assign/states: variable name 'states' is reserved"
    );
    assert_eq!(
        fault(json!({"Type": "Pass", "Assign": "{% {} %}", "End": true})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Assign: must be an object"
    );
    let states = json!({
        "S": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
        "P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "I", "States": {"I": {"Type": "Map", "ItemProcessor": {"StartAt": "J", "States": {"J": {"Type": "Pass", "Assign": {"x": 2, "y": 1}, "End": true}}}, "End": true}}}]},
    });
    assert_eq!(
        refuse(&machine(states)),
        [
            "DUPLICATE_VARIABLE_NAME at /States/P/Branches[0]/States/I/ItemProcessor/States/J/Assign/x: variable 'x' belongs to an outer scope, which this state can read but not assign"
        ]
    );
}

#[test]
fn parallels_and_maps() {
    assert_eq!(
        fault(json!({"Type": "Parallel", "End": true})),
        "SCHEMA_VALIDATION_FAILED at /States/S: field 'Branches' is missing"
    );
    assert_eq!(
        fault(json!({"Type": "Parallel", "Branches": [], "End": true})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Branches: must not be empty"
    );
    let inner = |inner: Value| fault(json!({"Type": "Parallel", "Branches": [inner], "End": true}));
    assert_eq!(inner(json!(1)), "SCHEMA_VALIDATION_FAILED at /States/S/Branches[0]: must be an object");
    assert_eq!(
        inner(json!({"StartAt": "X", "States": {"I": {"Type": "Succeed"}}})),
        "MISSING_TRANSITION_TARGET at /States/S/Branches[0]/StartAt: there is no state 'X'"
    );
    assert_eq!(
        inner(json!({"StartAt": "I", "States": {"I": {"Type": "Succeed"}}, "QueryLanguage": "JSONata"})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Branches[0]/QueryLanguage: field 'QueryLanguage' is not supported here"
    );
    let found = refuse(&machine(
        json!({"S": {"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": {"Type": "Pass", "Next": "E"}}}], "Next": "E"}, "E": {"Type": "Succeed"}}),
    ));
    assert_eq!(
        found,
        [
            "MISSING_TRANSITION_TARGET at /States/S/Branches[0]/States/I/Next: there is no state 'E'",
            "MISSING_END_STATE at /States/S/Branches[0]/States: no state ends the machine"
        ],
        "no transition leaves a branch"
    );

    let processor = json!({"StartAt": "I", "States": {"I": {"Type": "Succeed"}}});
    let map =
        |more: Value| fault(with(json!({"Type": "Map", "ItemProcessor": processor, "End": true}), more));
    for field in ["ItemReader", "ItemBatcher", "ResultWriter", "Label"] {
        assert_eq!(
            map(json!({field: {}})),
            format!(
                "SCHEMA_VALIDATION_FAILED at /States/S/{field}: field '{field}' is for a Map whose processor has the mode 'DISTRIBUTED'"
            )
        );
    }
    assert_eq!(
        map(
            json!({"ItemProcessor": with(processor.clone(), json!({"ProcessorConfig": {"Mode": "inline"}}))})
        ),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemProcessor/ProcessorConfig/Mode: must be 'INLINE' or 'DISTRIBUTED'"
    );
    assert!(map(json!({"ItemProcessor": with(processor.clone(), json!({"ProcessorConfig": {"ExecutionType": "EXPRESS"}}))})).contains("field 'ExecutionType' is not supported here"));
    assert_eq!(
        map(json!({"Items": "text"})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Items: must be an array, an object or a JSONata expression"
    );
    assert_eq!(
        map(json!({"MaxConcurrency": -1})),
        "SCHEMA_VALIDATION_FAILED at /States/S/MaxConcurrency: must be an integer between 0 and 99999999"
    );
    assert_eq!(
        map(json!({"Iterator": {}})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Iterator: field 'Iterator' is deprecated; use 'ItemProcessor'"
    );
    assert_eq!(
        fault(json!({"Type": "Map", "End": true})),
        "SCHEMA_VALIDATION_FAILED at /States/S: field 'ItemProcessor' is missing"
    );

    let deep = |levels: usize| {
        let innermost = json!({"StartAt": "S0", "States": {"S0": {"Type": "Succeed"}}});
        let nested = (1..=levels).fold(innermost, |inner, level| {
            let name = format!("S{level}");
            json!({"StartAt": name, "States": {name.as_str(): {"Type": "Parallel", "Branches": [inner], "End": true}}})
        });
        with(nested, json!({"QueryLanguage": "JSONata"}))
    };
    accept(&deep(20));
    let found = refuse(&deep(26));
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("nested more than 25 deep") || fault.contains("recursion limit")),
        "{found:?}"
    );
}

#[test]
fn every_fault_is_reported_at_once_and_in_order() {
    let found = refuse(&json!({
        "QueryLanguage": "JSONata", "StartAt": "A", "Bogus": 1,
        "States": {
            "A": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Arguments": "{% foo %}", "Next": "B"},
            "B": {"Type": "Wait", "Next": "C"},
            "C": {"Type": "Nap", "End": true},
        },
    }));
    let codes: Vec<_> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        codes,
        [
            "NOT_SUPPORTED at /States/A/Resource",
            "UNSUPPORTED_JSONATA_EXPRESSION at /States/A/Arguments",
            "SCHEMA_VALIDATION_FAILED at /States/B",
            "SCHEMA_VALIDATION_FAILED at /States/C/Type",
            "MISSING_END_STATE at /States",
            "SCHEMA_VALIDATION_FAILED at /Bogus",
        ]
    );
}

#[test]
fn a_definition_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Definition>();
    fn sent<T: Send>() {}
    sent::<crate::Execution>();
}

/// The real files, as seeds to mutate.
fn seeds() -> Vec<Value> {
    let machine = |file: &str| {
        let path = format!("{}/../../state-machines/{file}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let mut seeds: Vec<Value> =
        ["intake.asl.json", "normalize.asl.json", "recover.asl.json"].map(machine).into();
    seeds.push(machine_of_all());
    seeds
}

fn machine_of_all() -> Value {
    machine(json!({
        "S": {"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": {"Type": "Wait", "Seconds": 1, "End": true}}}], "Next": "M"},
        "M": {"Type": "Map", "Items": ["{% 1 %}"], "ItemProcessor": {"StartAt": "J", "States": {"J": {"Type": "Fail"}}}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "S"}]},
    }))
}

/// Replaces, removes, renames or repeats one value somewhere in the document.
fn mutate(document: &mut Value, choices: &[usize], with: &Value) {
    let [first, rest @ ..] = choices else {
        *document = with.clone();
        return;
    };
    match document {
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(first % members.len()).unwrap().clone();
            match (rest.len(), first % 5) {
                (0, 0) => {
                    members.remove(&name);
                }
                (0, 1) => {
                    let value = members.remove(&name).unwrap();
                    members.insert(format!("{name}Path"), value);
                }
                (0, 2) => {
                    members.insert("QueryLanguage".to_owned(), with.clone());
                }
                _ => mutate(members.get_mut(&name).unwrap(), rest, with),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let index = first % items.len();
            if rest.is_empty() && first % 2 == 0 {
                let copy = items[index].clone();
                items.push(copy);
            } else {
                mutate(&mut items[index], rest, with);
            }
        }
        other => *other = with.clone(),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        Just(json!([])),
        Just(json!(-1)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!("{% %}")),
        Just(json!("{%")),
        Just(json!("States.ALL")),
        Just(json!({"": {"Type": "Map"}})),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[$a-z.()\\[\\]{}:=&%'\" 0-9]{0,30}".prop_map(|text| json!(format!("{{% {text} %}}"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_panics(seed in 0..4usize, changes in prop::collection::vec((prop::collection::vec(any::<usize>(), 1..9), any_value()), 1..4)) {
        let mut document = seeds().swap_remove(seed);
        for (path, value) in &changes {
            mutate(&mut document, path, value);
        }
        if let Err(errors) = Definition::parse(&document.to_string(), MachineType::Standard) {
            prop_assert!(!errors.0.is_empty());
            prop_assert!(errors.0.iter().all(|error| error.path.starts_with('/') && !error.message.is_empty()));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", cut in any::<usize>()) {
        let _ = Definition::parse(&text, MachineType::Express);
        let whole = seeds()[2].to_string();
        let cut = (0..=cut % whole.len()).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
        prop_assert!(Definition::parse(&whole[..cut], MachineType::Express).is_err());
    }
}

/// A Distributed Map that reads from S3.
fn distributed(more: Value) -> Value {
    with(
        json!({
            "Type": "Map", "End": true, "Label": "L",
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}},
            "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"}, "Arguments": {"Bucket": "b", "Key": "k"}},
        }),
        more,
    )
}

#[test]
fn all_of_a_distributed_map_that_is_supported_is_accepted() {
    for more in [
        json!({}),
        json!({"ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON", "MaxItems": "{% 5 %}"},
                              "Arguments": {"Bucket": "{% $states.input.b %}", "Key": "k"}}}),
        json!({"ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"}, "MaxConcurrency": 50}),
        json!({"ToleratedFailureCount": 7, "ToleratedFailurePercentage": 0.5}),
        json!({"ToleratedFailureCount": "{% 7 %}", "ToleratedFailurePercentage": "{% $states.input.p %}"}),
        json!({"ItemBatcher": {"MaxItemsPerBatch": 10, "MaxInputBytesPerBatch": "{% 1000 %}", "BatchInput": {"a": "{% 1 %}"}}}),
        json!({"ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "p"}}}),
        json!({"ResultWriter": {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}}}),
        json!({"ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b"},
                                "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}}}),
    ] {
        accept(&machine(json!({"S": distributed(more)})));
    }
    let definition =
        Definition::parse(&machine(json!({"S": distributed(json!({}))})).to_string(), MachineType::Standard)
            .unwrap();
    assert_eq!(definition.state_names().collect::<Vec<_>>(), ["S", "I"], "those of the children too");
}

#[test]
fn what_a_distributed_map_cannot_have_is_refused() {
    let fault = |more: Value| fault(distributed(more));
    let reader = |resource: &str, config: Value, arguments: Value| {
        fault(json!({"ItemReader": {"Resource": resource, "ReaderConfig": config, "Arguments": arguments}}))
    };
    let (get, jsonl, at) =
        ("arn:aws:states:::s3:getObject", json!({"InputType": "JSONL"}), json!({"Bucket": "b", "Key": "k"}));
    assert_eq!(
        reader("arn:aws:states:::s3:listObjectsV2", jsonl.clone(), at.clone()),
        "NOT_SUPPORTED at /States/S/ItemReader/Resource: resource 'arn:aws:states:::s3:listObjectsV2' is not supported by the local engine here, which has arn:aws:states:::s3:getObject"
    );
    for input_type in ["CSV", "MANIFEST", "PARQUET"] {
        assert_eq!(
            reader(get, json!({"InputType": input_type}), at.clone()),
            format!(
                "NOT_SUPPORTED at /States/S/ItemReader/ReaderConfig/InputType: input type '{input_type}' is not supported by the local engine, which reads JSON and JSONL"
            )
        );
    }
    assert_eq!(
        reader(get, jsonl.clone(), json!({"Bucket": "b"})),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemReader/Arguments: field 'Key' is missing"
    );
    assert_eq!(
        reader(get, jsonl, json!({"Bucket": "b", "Key": "k", "VersionId": "v"})),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemReader/Arguments/VersionId: field 'VersionId' is not supported here"
    );
    assert_eq!(
        reader(get, json!({"InputType": "JSONL", "MaxItems": 0}), at),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemReader/ReaderConfig/MaxItems: must be an integer between 1 and 100000000"
    );
    assert_eq!(
        fault(json!({"Items": []})),
        "SCHEMA_VALIDATION_FAILED at /States/S: has both 'Items' and 'ItemReader'"
    );
    assert_eq!(
        fault(json!({"Label": "a b"})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Label: has a character that a label cannot have"
    );
    assert_eq!(
        fault(json!({"Label": "x".repeat(41)})),
        "SCHEMA_VALIDATION_FAILED at /States/S/Label: a label has at most 40 characters, this has 41"
    );
    for percentage in [json!(-1), json!(100.5), json!("5")] {
        assert_eq!(
            fault(json!({"ToleratedFailurePercentage": percentage})),
            "SCHEMA_VALIDATION_FAILED at /States/S/ToleratedFailurePercentage: must be a number between 0 and 100, or a JSONata expression"
        );
    }
    assert_eq!(
        fault(json!({"ItemBatcher": {}})),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemBatcher: needs 'MaxItemsPerBatch', 'MaxInputBytesPerBatch' or both"
    );
    assert_eq!(
        fault(json!({"ResultWriter": {}})),
        "SCHEMA_VALIDATION_FAILED at /States/S/ResultWriter: needs 'WriterConfig', or 'Resource' and 'Arguments'"
    );
    assert_eq!(
        fault(json!({"ResultWriter": {"WriterConfig": {"Transformation": "SOME", "OutputType": "JSON"}}})),
        "SCHEMA_VALIDATION_FAILED at /States/S/ResultWriter/WriterConfig/Transformation: must be 'NONE', 'COMPACT' or 'FLATTEN'"
    );
    let processor = |config: Value| json!({"ItemProcessor": {"ProcessorConfig": config, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}});
    assert_eq!(
        fault(processor(json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}))),
        "NOT_SUPPORTED at /States/S/ItemProcessor/ProcessorConfig/ExecutionType: execution type 'STANDARD' of a Distributed Map is not supported by the local engine; use 'EXPRESS'"
    );
    assert_eq!(
        fault(processor(json!({"Mode": "DISTRIBUTED"}))),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemProcessor/ProcessorConfig: field 'ExecutionType' is missing"
    );
    let express =
        Definition::parse(&machine(json!({"S": distributed(json!({}))})).to_string(), MachineType::Express)
            .unwrap_err();
    assert_eq!(
        express.to_string(),
        "SCHEMA_VALIDATION_FAILED at /States/S/ItemProcessor/ProcessorConfig/Mode: mode 'DISTRIBUTED' is for STANDARD state machines"
    );
    // A child's states are checked like any, at their own places.
    let inner = json!({"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I", "States": {"I": {"Type": "Pass", "Next": "Gone"}}}});
    let found = refuse(&machine(json!({"S": distributed(inner)})));
    assert_eq!(
        found[0],
        "MISSING_TRANSITION_TARGET at /States/S/ItemProcessor/States/I/Next: there is no state 'Gone'"
    );
}
