//! Outcomes, their words and the exit code.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use super::*;
use crate::command::show::tests::quarantine_row;
use crate::output::testing::{in_pipe, json, on_terminal};

fn redrive(outcome: Outcome, failure: Option<ExitKind>) -> Redrive {
    let row = quarantine_row("OPEN", 2);
    let failed = outcome == Outcome::FailedAgain;
    Redrive {
        ingest_id: row.ingest_id,
        outcome,
        method: Some(plan::Method::Redrive),
        execution_arn: Some(row.execution_arn),
        redrive_count: Some(1),
        message: if failed { "payload_schema_violation: 1 fault".into() } else { "words".into() },
        cause: failed.then_some(row.cause),
        failure,
    }
}

const SUMMARY: Summary =
    Summary { released: 1, failed: 2, not_started: 0, stopped: None, dead_letters_removed: 0 };

fn of(redrives: Vec<Redrive>) -> Redrives {
    Redrives { plan: Plan::default(), redrives, summary: Some(SUMMARY) }
}

#[test]
fn a_run_that_stopped_says_how_to_go_on() {
    let stopped = |stopped| {
        let summary = Summary { stopped: Some(stopped), not_started: 900, ..SUMMARY };
        Redrives { summary: Some(summary), ..of(vec![redrive(Outcome::Released, None)]) }
            .verdict()
            .unwrap_err()
    };
    let budget = stopped(Stopped::ErrorBudget);
    assert!(
        budget.to_string().contains("error budget") && budget.to_string().contains("900 events"),
        "{budget}"
    );
    assert_eq!(budget.kind(), ExitKind::Failed);
    assert!(stopped(Stopped::Interrupted).to_string().starts_with("interrupted"));
}

#[test]
fn of_many_only_those_that_need_a_look_are_listed() {
    let mut many = vec![redrive(Outcome::Released, None); 60];
    many.push(redrive(Outcome::FailedAgain, Some(ExitKind::Failed)));
    let text = on_terminal(&of(many));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("1 released, 2 failed, 0 not run"), "{text}");
}

#[test]
fn each_outcome_is_said() {
    let redrives = Redrives {
        plan: Plan::default(),
        summary: Some(SUMMARY),
        redrives: vec![
            redrive(Outcome::Released, None),
            redrive(Outcome::FailedAgain, Some(ExitKind::Failed)),
            redrive(Outcome::NotRedrivable, Some(ExitKind::Refused)),
        ],
    };
    insta::assert_snapshot!(on_terminal(&redrives), @"
    INGEST ID                   OUTCOME         REDRIVES  MESSAGE                           
    01KAJ3Y3R00000000000000001  released        1         words
    01KAJ3Y3R00000000000000001  failed again    1         payload_schema_violation: 1 fault
    01KAJ3Y3R00000000000000001  not redrivable  1         words
    ");
    insta::assert_snapshot!(in_pipe(&redrives), @"
    ingest id	outcome	redrives	message
    01KAJ3Y3R00000000000000001	released	1	words
    01KAJ3Y3R00000000000000001	failed again	1	payload_schema_violation: 1 fault
    01KAJ3Y3R00000000000000001	not redrivable	1	words
    ");
    insta::assert_snapshot!(json(&of(vec![redrive(Outcome::FailedAgain, None)])), @r#"
    {
      "plan": {
        "events": 0,
        "groups": []
      },
      "redrives": [
        {
          "ingestId": "01KAJ3Y3R00000000000000001",
          "outcome": "failed_again",
          "method": "redrive",
          "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
          "redriveCount": 1,
          "message": "payload_schema_violation: 1 fault",
          "cause": {
            "error": "Rejected",
            "code": "payload_schema_violation",
            "message": "the payload has 1 fault",
            "errors": [
              {
                "pointer": "/qty",
                "code": "type",
                "message": "must be of type integer, not string"
              }
            ]
          }
        }
      ],
      "summary": {
        "released": 1,
        "failed": 2,
        "notStarted": 0,
        "deadLettersRemoved": 0
      }
    }
    "#);
}

#[test]
fn the_exit_code_is_that_of_the_failures_if_they_agree() {
    let kind = |redrives: Vec<Redrive>| of(redrives).verdict().err().map(|error| error.kind());
    let good = || redrive(Outcome::Released, None);
    let missing = || redrive(Outcome::NotFound, Some(ExitKind::NotFound));
    let refused = || redrive(Outcome::NotRedrivable, Some(ExitKind::Refused));
    let down = || redrive(Outcome::Error, Some(ExitKind::Unavailable));
    assert_eq!(kind(vec![]), None);
    assert_eq!(kind(vec![good()]), None);
    assert_eq!(kind(vec![missing()]), Some(ExitKind::NotFound));
    assert_eq!(kind(vec![good(), refused(), refused()]), Some(ExitKind::Refused));
    assert_eq!(kind(vec![down()]), Some(ExitKind::Unavailable));
    assert_eq!(kind(vec![missing(), refused()]), Some(ExitKind::Failed));
    let one = of(vec![refused()]).verdict().unwrap_err().to_string();
    assert_eq!(one, "01KAJ3Y3R00000000000000001: not redrivable: words");
}
