//! Outcomes, and what a redrive comes to because of them.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use super::*;
use crate::testing::quarantine_row;

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
    assert_eq!(budget.kind(), Kind::Failed);
    assert!(stopped(Stopped::Interrupted).to_string().starts_with("interrupted"));
}

#[test]
fn the_kind_is_that_of_the_failures_if_they_agree() {
    let kind = |redrives: Vec<Redrive>| of(redrives).verdict().err().map(|error| error.kind());
    let good = || redrive(Outcome::Released, None);
    let missing = || redrive(Outcome::NotFound, Some(Kind::NotFound));
    let refused = || redrive(Outcome::NotRedrivable, Some(Kind::Refused));
    let down = || redrive(Outcome::Error, Some(Kind::Unavailable));
    assert_eq!(kind(vec![]), None);
    assert_eq!(kind(vec![good()]), None);
    assert_eq!(kind(vec![missing()]), Some(Kind::NotFound));
    assert_eq!(kind(vec![good(), refused(), refused()]), Some(Kind::Refused));
    assert_eq!(kind(vec![down()]), Some(Kind::Unavailable));
    assert_eq!(kind(vec![missing(), refused()]), Some(Kind::Failed));
    let one = of(vec![refused()]).verdict().unwrap_err().to_string();
    assert_eq!(one, "01KAJ3Y3R00000000000000001: not redrivable: words");
}
