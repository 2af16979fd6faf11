//! Plans and outcomes, in words and as JSON.

use sluice_ops::error::Kind;
use sluice_ops::redrive::{Entry, Redrive, Summary};
use sluice_ops::testing::{ledger_row, quarantine_row};

use super::*;
use crate::output::testing::{in_pipe, json, on_terminal, page, plain};

fn redrive(outcome: Outcome, failure: Option<Kind>) -> Redrive {
    let row = quarantine_row("OPEN", 2);
    let failed = outcome == Outcome::FailedAgain;
    Redrive {
        ingest_id: row.ingest_id,
        outcome,
        method: Some(Method::Redrive),
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
    Redrives { plan: Plan::default(), redrives, summary: Some(SUMMARY), dead_letters_left: None }
}

#[test]
fn of_many_only_those_that_need_a_look_are_listed() {
    let mut many = vec![redrive(Outcome::Released, None); 60];
    many.push(redrive(Outcome::FailedAgain, Some(Kind::Failed)));
    let text = on_terminal(&of(many));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("1 released, 2 failed, 0 not run"), "{text}");
}

#[test]
fn each_outcome_is_said() {
    let redrives = Redrives {
        plan: Plan::default(),
        summary: Some(SUMMARY),
        dead_letters_left: None,
        redrives: vec![
            redrive(Outcome::Released, None),
            redrive(Outcome::FailedAgain, Some(Kind::Failed)),
            redrive(Outcome::NotRedrivable, Some(Kind::Refused)),
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
fn a_plan_says_how_many_by_group_and_method() {
    let entry = |method| Entry {
        method,
        row: quarantine_row("OPEN", 1),
        event: ledger_row("QUARANTINED").rerun(0),
        redrive_count: 0,
    };
    let plan =
        Plan::new([Method::Redrive, Method::Redrive, Method::Redrive, Method::Replay].map(entry).to_vec());
    insta::assert_snapshot!(plain(&plan_text(&plan, &page(true))), @"
     GROUP             EVENTS  REDRIVE  REPLAY  CLOSE  CAUSE                     MESSAGE                 
     0123456789abcdef  4       3        1       0      payload_schema_violation  the payload has 1 fault

    4 events would be run again: 3 by redrive, 1 by replay.
    ");
}
