//! Amazon Resource Names and the names inside them.
//!
//! Source: the API reference of `StartExecution` and `CreateStateMachine` for names; recorded answers of AWS for the
//! messages.

use crate::error::{Error, Result};
use crate::limits::NAME_CHARS_MAX;

/// An ARN of Step Functions, taken apart. Account and region are not compared: a foreign one names nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arn<'a> {
    /// `arn:aws:states:<region>:<account>:stateMachine:<name>`
    StateMachine { name: &'a str },
    /// The same with `:<version or alias>` or `/<label of a Distributed Map>` behind it.
    QualifiedStateMachine,
    /// `arn:aws:states:<region>:<account>:execution:<machine>:<name>`
    Execution { machine: &'a str },
    /// `arn:aws:states:<region>:<account>:express:<machine>:<name>:<id>`
    Express { machine: &'a str },
    /// `arn:aws:states:<region>:<account>:mapRun:<machine>/<label>:<id>`
    MapRun,
    /// `arn:aws:states:<region>:<account>:activity:<name>`
    Activity,
}

/// Takes an ARN of a state machine or an execution apart.
///
/// # Errors
/// [`Error::InvalidArn`] for whatever is neither.
pub(crate) fn parse(arn: &str) -> Result<Arn<'_>> {
    let invalid = |why: String| Err(Error::InvalidArn(why));
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return invalid(format!("Invalid ARN prefix: {arn}"));
    }
    let (Some(partition), Some(service), Some(_region), Some(_account), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return invalid(format!("Invalid ARN: {arn}"));
    };
    if partition.is_empty() || service != "states" {
        return invalid(format!("Invalid ARN: {arn}"));
    }
    let mut segments = resource.split(':');
    let (kind, first, second, third, rest) =
        (segments.next(), segments.next(), segments.next(), segments.next(), segments.next());
    if first.is_none_or(str::is_empty) {
        return invalid(format!("Invalid ARN: {arn}"));
    }
    match (kind, first, second, third, rest) {
        (Some("stateMachine"), Some(name), None, None, None) => {
            Ok(if name.contains('/') { Arn::QualifiedStateMachine } else { Arn::StateMachine { name } })
        }
        (Some("stateMachine"), Some(_), Some(_), None, None) => Ok(Arn::QualifiedStateMachine),
        (Some("execution"), Some(machine), Some(_), None, None) => Ok(Arn::Execution { machine }),
        (Some("express"), Some(machine), Some(_), Some(_), None) => Ok(Arn::Express { machine }),
        (Some("mapRun"), Some(_), Some(_), None, None) => Ok(Arn::MapRun),
        (Some("activity"), Some(_), None, None, None) => Ok(Arn::Activity),
        (Some(kind), ..) => invalid(format!("Resource type not valid in this context: {kind}")),
        (None, ..) => invalid(format!("Invalid ARN: {arn}")),
    }
}

/// Checks the ARN of a state machine without a qualifier.
pub(crate) fn expect_state_machine(arn: &str) -> Result<()> {
    match parse(arn)? {
        Arn::StateMachine { .. } => Ok(()),
        // Neither versions nor aliases exist here, so a qualified ARN names nothing.
        Arn::QualifiedStateMachine => Err(Error::StateMachineDoesNotExist(arn.to_owned())),
        Arn::Execution { .. } => Err(wrong_type("execution")),
        Arn::Express { .. } => Err(wrong_type("express")),
        Arn::MapRun => Err(wrong_type("mapRun")),
        Arn::Activity => Err(wrong_type("activity")),
    }
}

/// Checks the ARN of an activity.
pub(crate) fn expect_activity(arn: &str) -> Result<()> {
    match parse(arn)? {
        Arn::Activity => Ok(()),
        Arn::Execution { .. } => Err(wrong_type("execution")),
        Arn::Express { .. } => Err(wrong_type("express")),
        Arn::MapRun => Err(wrong_type("mapRun")),
        Arn::StateMachine { .. } | Arn::QualifiedStateMachine => Err(wrong_type("stateMachine")),
    }
}

/// Checks the ARN of a Standard execution.
pub(crate) fn expect_execution(arn: &str) -> Result<()> {
    match parse(arn)? {
        Arn::Execution { .. } => Ok(()),
        Arn::Express { .. } => Err(wrong_type("express")),
        Arn::MapRun => Err(wrong_type("mapRun")),
        Arn::Activity => Err(wrong_type("activity")),
        Arn::StateMachine { .. } | Arn::QualifiedStateMachine => Err(wrong_type("stateMachine")),
    }
}

/// Checks the ARN of a Map Run.
pub(crate) fn expect_map_run(arn: &str) -> Result<()> {
    match parse(arn)? {
        Arn::MapRun => Ok(()),
        Arn::Activity => Err(wrong_type("activity")),
        Arn::Execution { .. } => Err(wrong_type("execution")),
        Arn::Express { .. } => Err(wrong_type("express")),
        Arn::StateMachine { .. } | Arn::QualifiedStateMachine => Err(wrong_type("stateMachine")),
    }
}

fn wrong_type(kind: &str) -> Error {
    Error::InvalidArn(format!("Resource type not valid in this context: {kind}"))
}

/// Checks the name of a state machine or an execution: 1 to 80 characters, none of them white space, a bracket, a
/// wildcard, a control character, or one of the special characters that the API reference lists.
///
/// # Errors
/// [`Error::Validation`] for the length, [`Error::InvalidName`] for a character.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let chars = name.chars().count();
    if chars == 0 {
        return Err(Error::constraint(name, "name", "Member must have length greater than or equal to 1"));
    }
    if chars > NAME_CHARS_MAX {
        return Err(Error::constraint(name, "name", "Member must have length less than or equal to 80"));
    }
    let refused = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '<' | '>' | '{' | '}' | '[' | ']' | '?' | '*')
            || matches!(c, '"' | '#' | '%' | '\\' | '^' | '|' | '~' | '`' | '$' | '&' | ',' | ';' | ':' | '/')
            || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{10ffff}')
    };
    if name.contains(refused) { Err(Error::InvalidName(name.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn refusal(arn: &str) -> String {
        parse(arn).unwrap_err().to_string()
    }

    #[test]
    fn takes_the_forms_of_the_service_apart() {
        let p = "arn:aws:states:us-east-1:000000000000:";
        assert_eq!(parse(&format!("{p}stateMachine:m")).unwrap(), Arn::StateMachine { name: "m" });
        assert_eq!(parse(&format!("{p}stateMachine:m:3")).unwrap(), Arn::QualifiedStateMachine);
        assert_eq!(parse(&format!("{p}stateMachine:m/label")).unwrap(), Arn::QualifiedStateMachine);
        assert_eq!(parse(&format!("{p}execution:m:e.1")).unwrap(), Arn::Execution { machine: "m" });
        assert_eq!(parse(&format!("{p}express:m:e:u")).unwrap(), Arn::Express { machine: "m" });
        assert_eq!(parse(&format!("{p}mapRun:m/l:u")).unwrap(), Arn::MapRun);
    }

    #[test]
    fn refuses_in_the_words_of_the_service() {
        assert_eq!(refusal("nonsense"), "Invalid Arn: 'Invalid ARN prefix: nonsense'");
        let activity = "arn:aws:states:us-east-1:000000000000:activity:a";
        let why = expect_state_machine(activity).unwrap_err().to_string();
        assert_eq!(why, "Invalid Arn: 'Resource type not valid in this context: activity'");
        expect_activity(activity).unwrap();
        let other = "arn:aws:states:us-east-1:000000000000:other:a";
        assert_eq!(refusal(other), "Invalid Arn: 'Resource type not valid in this context: other'");
        for broken in [
            "arn:aws:states",
            "arn:aws:sqs:us-east-1:0:q",
            "arn:aws:states:us-east-1:0:stateMachine:",
            "arn:",
        ] {
            assert_eq!(refusal(broken), format!("Invalid Arn: 'Invalid ARN: {broken}'"));
        }
        let express = "arn:aws:states:us-east-1:000000000000:express:m:e:u";
        assert_eq!(
            expect_execution(express).unwrap_err().to_string(),
            "Invalid Arn: 'Resource type not valid in this context: express'"
        );
        let version = "arn:aws:states:us-east-1:000000000000:stateMachine:m:1";
        assert_eq!(expect_state_machine(version).unwrap_err().code(), "StateMachineDoesNotExist");
    }

    #[test]
    fn names_are_restricted() {
        for good in ["a", "01HZZ-0", "a.b_c-d+e=@!'()", &"x".repeat(80), "größe"] {
            check_name(good).unwrap();
        }
        assert_eq!(check_name("").unwrap_err().code(), "ValidationException");
        assert_eq!(check_name(&"x".repeat(81)).unwrap_err().code(), "ValidationException");
        for bad in "<>{}[]?*\"#%\\^|~`$&,;:/ \t\n\u{0}\u{7f}\u{9f}\u{10ffff}\u{a0}".chars() {
            assert_eq!(check_name(&format!("a{bad}b")).unwrap_err().code(), "InvalidName", "{bad:?}");
        }
    }
}
