// What each function may do, beside what its triggers need. From the sources: `functions/*/src/config.rs` says what a function
// names, `crates/aws/src/*.rs` which calls it makes. A function's environment is made of the same rows: it knows the name of
// nothing that it may not touch.

import { type Fn, find, type TopologyFile, upperSnake } from "./topology.ts";

type TableAction = "GetItem" | "BatchGetItem" | "Query" | "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem";
type BucketAction = "GetObject" | "PutObject" | "DeleteObject" | "ListBucket";

export type Permission =
  | { table: string; actions: TableAction[]; index?: string; exceptPartitions?: string; why: string }
  | { bucket: string; actions: BucketAction[]; why: string }
  | { bus: true; why: string }
  | { queue: string; why: string }
  /** Dead-letter queues that are moved back to the queues they serve: all of the topology. */
  | { moves: true; why: string }
  /** Executions of a machine. */
  | { executions: string; actions: ("RedriveExecution" | "DescribeExecution")[]; why: string }
  | { machine: string; sync?: true; why: string };

// S3 answers 403 instead of 404 for an object that is not there to whoever may not list the bucket; then a missing object would be
// told as a denied one, and a person would mend the wrong thing.
const MISSING_IS_404 = "so that a missing object is told from a denied one";

export const PERMISSIONS: Record<string, Permission[]> = {
  Accept: [
    { table: "Vendors", actions: ["GetItem", "Query"], why: "whose key, which secret, which contracts" },
    { table: "Ledger", actions: ["GetItem", "Query"], why: "seen before, or within a window?" },
    { table: "Ledger", index: "by-ingest-id", actions: ["Query"], why: "GET /v1/events/{ingestId}" },
    { table: "Balance", actions: ["UpdateItem"], why: "count duplicates, beside the answer" },
    { bucket: "Uploads", actions: ["GetObject"], why: "a body that is too large for the input" },
  ],
  PersistRaw: [
    { bucket: "Raw", actions: ["PutObject", "GetObject"], why: "write the request once; read the digest of one that exists" },
    { table: "Ledger", actions: ["GetItem", "PutItem"], why: "the commit point" },
    { table: "Divergence", actions: ["GetItem", "PutItem"], why: "the same id with another payload" },
    { bucket: "Uploads", actions: ["GetObject"], why: "a body that is too large for the input" },
  ],
  Upload: [
    { bucket: "Uploads", actions: ["PutObject", "DeleteObject"], why: "stage a large body until intake has answered" },
    { machine: "Intake", sync: true, why: "answer the request" },
  ],
  Relay: [{ bus: true, why: "publish what the stream tells" }],
  Normalize: [
    { table: "Vendors", actions: ["GetItem"], why: "is the vendor on hold? the active mapper" },
    {
      table: "Vendors",
      actions: ["PutItem", "UpdateItem"],
      // It runs what vendors' mappers are: whose an API key is must be out of its reach.
      exceptPartitions: "key#*",
      why: "count a canary, and take it back",
    },
    { bucket: "Mappers", actions: ["GetObject"], why: "the bundle" },
    { bucket: "Mappers", actions: ["ListBucket"], why: MISSING_IS_404 },
    { bucket: "Raw", actions: ["GetObject"], why: "the request as sent" },
    { bucket: "Raw", actions: ["ListBucket"], why: MISSING_IS_404 },
    { bucket: "Normalized", actions: ["PutObject"], why: "the canonical document" },
    { table: "Ledger", actions: ["GetItem", "UpdateItem"], why: "what a replay would change; HELD, NORMALIZED" },
    { table: "Drift", actions: ["GetItem", "PutItem", "UpdateItem"], why: "what messages look like" },
    { table: "Balance", actions: ["GetItem"], why: "the vendor's score, for contracts that ask for it" },
    { bus: true, why: "findings of drift" },
  ],
  Quarantine: [
    { table: "Quarantine", actions: ["GetItem", "UpdateItem"], why: "record and release; has it left meanwhile?" },
    { table: "Ledger", actions: ["UpdateItem"], why: "QUARANTINED" },
  ],
  Apply: [
    { bucket: "Normalized", actions: ["GetObject"], why: "the canonical document" },
    { bucket: "Normalized", actions: ["ListBucket"], why: MISSING_IS_404 },
    { table: "Ledger", actions: ["GetItem"], why: "which document holds" },
    {
      table: "CanonicalState",
      actions: ["GetItem", "BatchGetItem", "Query", "PutItem", "DeleteItem", "BatchWriteItem"],
      why: "state and contributions, in one transaction under their versions; entities that are listed no more",
    },
    { table: "Divergence", actions: ["Query", "PutItem", "DeleteItem"], why: "stale and conflicting updates" },
  ],
  Reconcile: [
    { table: "Ledger", index: "by-status", actions: ["Query"], why: "what is stuck, and the books by the hour" },
    { table: "Ledger", index: "by-ingest-id", actions: ["Query"], why: "whose an object is" },
    { table: "Ledger", actions: ["GetItem", "UpdateItem"], why: "the row itself, where the index may lag; tell again; let go" },
    { table: "Vendors", actions: ["GetItem"], why: "is the vendor of what is HELD on hold?" },
    { table: "CanonicalState", actions: ["BatchGetItem"], why: "is what is normalized applied?" },
    { table: "Quarantine", actions: ["GetItem", "Query", "UpdateItem"], why: "count; close what is normalized" },
    { table: "Balance", actions: ["GetItem", "Query", "PutItem", "DeleteItem"], why: "the balance of each hour" },
    { bucket: "Raw", actions: ["ListBucket"], why: "count what was sent" },
    { bucket: "Raw", actions: ["GetObject"], why: "whose an object without a row is" },
    { bucket: "Normalized", actions: ["ListBucket"], why: "count what was made" },
    { bucket: "Normalized", actions: ["GetObject"], why: "whether a row's document is there" },
    { machine: "Recover", why: "run a stuck event again" },
  ],
  Operate: [
    {
      table: "Operations",
      actions: ["GetItem", "PutItem"],
      why: "how far an operation is, what it holds, what became of each item",
    },
    { table: "Quarantine", actions: ["GetItem", "UpdateItem"], why: "how an event ended; close what is normalized" },
    { table: "Ledger", actions: ["GetItem", "UpdateItem"], why: "the event of one that cannot be redriven; let go what is HELD" },
    { machine: "Recover", why: "run an event again that cannot be redriven" },
    { executions: "Recover", actions: ["RedriveExecution", "DescribeExecution"], why: "run an event again; how it ended" },
    { machine: "Replay", why: "replay a batch" },
    { executions: "Replay", actions: ["DescribeExecution"], why: "how a batch ended" },
    { moves: true, why: "move dead letters back" },
  ],
};

/** Where a definition takes a bucket's name from its input: the bucket that may stand there. */
export const INPUT_BUCKETS: Record<string, string> = {
  // `sluice replay` writes manifests there, and Step Functions the results.
  Replay: "Replays",
};

/** The rows of a function; an error that says what to do if there are none, or if one names what is not declared. */
export function permissionsOf(topology: TopologyFile, fn: Fn): Permission[] {
  const rows = PERMISSIONS[fn.id];
  if (!rows) {
    throw new Error(
      `the function ${fn.id} of topology.json has no row in cdk/lib/permissions.ts: say there what it reads and writes, and why`,
    );
  }
  const from = `the permissions of ${fn.id} (cdk/lib/permissions.ts)`;
  for (const row of rows) {
    if ("table" in row) {
      const table = find(topology.tables, row.table, "table", from);
      if (row.index && !table.indexes?.some((it) => it.name === row.index))
        throw new Error(`${from} name the index ${row.index}, which ${table.name} does not have`);
    } else if ("bucket" in row) find(topology.buckets, row.bucket, "bucket", from);
    else if ("queue" in row) find(topology.queues, row.queue, "queue", from);
    else if ("machine" in row) find(topology.stateMachines, row.machine, "state machine", from);
    else if ("executions" in row) find(topology.stateMachines, row.executions, "state machine", from);
  }
  return rows;
}

/** What the environment calls the values of a permission: `LEDGER_TABLE`. Executions and moves are named by rows and queues. */
export function variable(row: Permission): string | undefined {
  if ("table" in row) return `${upperSnake(row.table)}_TABLE`;
  if ("bucket" in row) return `${upperSnake(row.bucket)}_BUCKET`;
  if ("queue" in row) return `${upperSnake(row.queue)}_QUEUE_URL`;
  if ("machine" in row) return `${upperSnake(row.machine)}_STATE_MACHINE_ARN`;
  if ("executions" in row || "moves" in row) return undefined;
  return "BUS_NAME";
}
