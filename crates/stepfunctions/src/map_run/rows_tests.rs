//! A runner that a stop and a redrive have overtaken, and what a redrive runs again: row by row.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::ChildStatus::{Failed, PendingRedrive, Succeeded, TimedOut};
use super::*;

const ARN: &str = "arn:aws:states:us-east-1:000000000000:mapRun:m/L:u";
const ALL: [ChildStatus; 4] = [Succeeded, Failed, TimedOut, ChildStatus::Aborted];

/// A journal with one run of ten items.
fn journal() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    crate::journal::migrate(&c, &crate::Location::Memory).unwrap();
    c.execute(
        "INSERT INTO executions(id, machine_id, definition_id, arn, name, status, input, seed, started_at, sort_at)
         VALUES (1, 1, 1, 'e', 'e', 'RUNNING', '{}', 0, 0, 0)",
        [],
    )
    .unwrap();
    c.execute(
        "INSERT INTO map_runs(execution_id, arn, uuid, status, max_concurrency, tolerated_count, tolerated_percentage,
                              started_at, counts, mark)
         VALUES (1, ?1, 'u', 'RUNNING', 1, 9, 0, 0, ?2, ?3)",
        params![ARN, text(&Counts::default()).unwrap(), text(&Mark::default()).unwrap()],
    )
    .unwrap();
    counted(&c, (row(&c).id, 0), 10, None).unwrap();
    c
}

fn row(c: &Connection) -> RunRow {
    run_by_arn(c, ARN).unwrap().unwrap()
}

fn ended(index: u64, status: ChildStatus) -> ChildRow {
    ChildRow {
        index,
        status,
        items: 1,
        input: "{}".to_owned(),
        output: None,
        error: None,
        cause: None,
        started_at: stamp(1),
        stopped_at: stamp(2),
        redrive_count: 0,
        redriven_at: None,
    }
}

fn write(c: &Connection, epoch: u32, children: &[(u64, ChildStatus)]) {
    let ended = children.iter().map(|(index, status)| ended(*index, *status)).collect();
    Progress { run: row(c).id, epoch, ended, mark: Mark::default() }.write(c).unwrap();
}

fn stop_and_redrive(c: &Connection) {
    MapChange::Stop(ARN.into()).write(c, 1, 3).unwrap();
    let row = row(c);
    assert_eq!(row.status, "ABORTED");
    redrive(c, &row, row.redrive_count + 1, 4).unwrap();
}

fn end(c: &Connection, epoch: u32) -> bool {
    let (run, counts) = (row(c).id, row(c).counts);
    End { run, epoch, at: stamp(5), outcome: Ok("[]".to_owned()), counts }.write(c).unwrap()
}

fn statuses(c: &Connection) -> Vec<(u64, ChildStatus)> {
    let wanted = Children { status: None, from: 0, descending: false, limit: 100, bytes_max: usize::MAX };
    let found = children(c, row(c).id, wanted).unwrap();
    found.into_iter().map(|child| (child.index, child.status)).collect()
}

/// The counts of a row, and those of its children's rows.
fn tallies(c: &Connection) -> (Tally, Tally) {
    let mut of_rows = Tally::default();
    statuses(c).into_iter().for_each(|(_, status)| of_rows.add(status, 1));
    assert_eq!(row(c).counts.items, row(c).counts.executions);
    (row(c).counts.executions, of_rows)
}

#[test]
fn a_redrive_runs_again_whatever_did_not_succeed() {
    let c = journal();
    let children: Vec<(u64, ChildStatus)> = (0..).zip(ALL).collect();
    write(&c, 0, &children);
    stop_and_redrive(&c);
    let again = statuses(&c);
    assert_eq!(again[0], (0, Succeeded));
    assert!(again[1..].iter().all(|(_, status)| *status == PendingRedrive), "{again:?}");
    assert_eq!(again.len(), 4);
    let (counts, rows) = tallies(&c);
    assert_eq!((counts, counts.pending_redrive), (rows, 3));
}

#[test]
fn a_runner_that_was_overtaken_by_a_redrive_leaves_its_failures_to_it() {
    let c = journal();
    write(&c, 0, &[(0, Failed), (1, Succeeded)]);
    stop_and_redrive(&c);
    // The children that were under way come to their ends.
    write(&c, 0, &[(2, Succeeded), (3, Failed), (4, TimedOut)]);
    let expected =
        [(0, PendingRedrive), (1, Succeeded), (2, Succeeded), (3, PendingRedrive), (4, PendingRedrive)];
    assert_eq!(statuses(&c), expected);
    let (counts, rows) = tallies(&c);
    assert_eq!((counts, counts.pending_redrive), (rows, 3));
    // The redrive's own runner counts them one by one.
    write(&c, 1, &[(0, Succeeded), (3, Failed), (4, Succeeded)]);
    let (counts, rows) = tallies(&c);
    assert_eq!(counts, rows);
    assert_eq!((counts.succeeded, counts.failed, counts.pending_redrive), (4, 1, 0));
}

#[test]
fn only_the_runner_of_the_last_redrive_ends_a_run() {
    let c = journal();
    stop_and_redrive(&c);
    assert!(!end(&c, 0), "the runner of before");
    assert_eq!(row(&c).status, "RUNNING");
    assert!(end(&c, 1));
    assert_eq!(row(&c).status, "SUCCEEDED");
}

#[test]
fn a_run_that_was_stopped_stays_aborted_when_its_runner_ends() {
    let c = journal();
    MapChange::Stop(ARN.into()).write(&c, 1, 3).unwrap();
    assert!(!end(&c, 0));
    assert_eq!((row(&c).status.as_str(), row(&c).output), ("ABORTED", None));
}

#[test]
fn a_redrive_that_reads_the_items_anew_takes_nothing_of_the_old_ones() {
    let c = journal();
    stop_and_redrive(&c);
    assert_eq!(row(&c).items, None);
    counted(&c, (row(&c).id, 0), 10, None).unwrap();
    write(&c, 0, &[(0, Succeeded)]);
    assert_eq!((row(&c).items, statuses(&c)), (None, Vec::new()));
}
