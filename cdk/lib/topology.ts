// `state-machines/topology.json`, read as `crates/local/src/topology.rs` reads it: every reference names something that is
// declared, nothing is declared twice within its kind, and a member that this reader does not know is an error.

import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";

export type MachineType = "EXPRESS" | "STANDARD";

export interface Machine {
  id: string;
  name: string;
  type: MachineType;
  /** File beside the topology. */
  definition: string;
}

export interface Fn {
  id: string;
  name: string;
  /** Folder below `functions/`, and below `target/lambda/`. */
  package: string;
  timeoutSeconds: number;
  memoryMb: number;
}

export interface Index {
  name: string;
  partitionKey: string;
  sortKey?: string;
}

export interface Table {
  id: string;
  name: string;
  partitionKey: string;
  sortKey?: string;
  stream?: string;
  timeToLive?: string;
  indexes?: Index[];
}

export interface Bucket {
  id: string;
  name: string;
  writeOnce?: boolean;
  /** After how many days an object is deleted. */
  expireDays?: number;
}

export interface Queue {
  id: string;
  name: string;
  visibilityTimeoutSeconds: number;
  messageRetentionSeconds: number;
  redrive?: { queue: string; maxReceiveCount: number };
}

export interface Stream {
  table: string;
  function: string;
  batchSize: number;
  bisectBatchOnFunctionError?: boolean;
  /** Batches of one shard at once, each item's records in order. */
  parallelizationFactor?: number;
}

export interface Rule {
  name: string;
  pattern: Record<string, unknown>;
  target: { stateMachine?: string; queue?: string; inputPath?: string };
}

/** A queue whose messages an Express machine gets, and is waited for: an EventBridge pipe. */
export interface Pipe {
  queue: string;
  stateMachine: string;
  batchSize?: number;
}

/** `event.normalized` and `event.corrected` of one canonical type, of some vendors or of all others, to a queue with its handler. */
export interface Route {
  id: string;
  eventType: string;
  sources?: string[];
  /** Higher drains first: its queue has pollers of its own, and is never behind another's backlog. */
  priority?: number;
  queue: string;
  function: string;
  batchSize?: number;
  maximumConcurrency?: number;
  maximumBatchingWindowSeconds?: number;
}

export interface Schedule {
  name: string;
  rateMinutes: number;
  function: string;
  input?: unknown;
}

export interface Topology {
  stateMachines: Machine[];
  functions: Fn[];
  tables: Table[];
  buckets: Bucket[];
  queues: Queue[];
  bus: { name: string };
  streams: Stream[];
  rules: Rule[];
  pipes: Pipe[];
  routes: Route[];
  schedules: Schedule[];
}

/** The file, with the folder that its definitions are in. */
export interface TopologyFile extends Topology {
  folder: string;
}

type Kind = "text" | "count" | "integer" | "flag" | "object" | "texts" | "any" | "machineType" | "viewType" | Shape | [Shape];
interface Shape {
  [member: string]: Kind | { optional: Kind };
}

const SHAPE: Shape = {
  stateMachines: [{ id: "text", name: "text", type: "machineType", definition: "text" }],
  functions: [{ id: "text", name: "text", package: "text", timeoutSeconds: "count", memoryMb: "count" }],
  tables: [
    {
      id: "text",
      name: "text",
      partitionKey: "text",
      sortKey: { optional: "text" },
      stream: { optional: "viewType" },
      timeToLive: { optional: "text" },
      indexes: { optional: [{ name: "text", partitionKey: "text", sortKey: { optional: "text" } }] },
    },
  ],
  buckets: [{ id: "text", name: "text", writeOnce: { optional: "flag" }, expireDays: { optional: "count" } }],
  queues: [
    {
      id: "text",
      name: "text",
      visibilityTimeoutSeconds: "count",
      messageRetentionSeconds: "count",
      redrive: { optional: { queue: "text", maxReceiveCount: "count" } },
    },
  ],
  bus: { name: "text" },
  streams: {
    optional: [
      {
        table: "text",
        function: "text",
        batchSize: "count",
        bisectBatchOnFunctionError: { optional: "flag" },
        parallelizationFactor: { optional: "count" },
      },
    ],
  },
  rules: {
    optional: [
      {
        name: "text",
        pattern: "object",
        target: { stateMachine: { optional: "text" }, queue: { optional: "text" }, inputPath: { optional: "text" } },
      },
    ],
  },
  pipes: { optional: [{ queue: "text", stateMachine: "text", batchSize: { optional: "count" } }] },
  routes: {
    optional: [
      {
        id: "text",
        eventType: "text",
        sources: { optional: "texts" },
        priority: { optional: "integer" },
        queue: "text",
        function: "text",
        batchSize: { optional: "count" },
        maximumConcurrency: { optional: "count" },
        maximumBatchingWindowSeconds: { optional: "count" },
      },
    ],
  },
  schedules: { optional: [{ name: "text", rateMinutes: "count", function: "text", input: { optional: "any" } }] },
};

const VIEW_TYPES = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"];

function fail(message: string): never {
  throw new Error(`topology.json: ${message}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkShape(value: unknown, kind: Kind, at: string): void {
  if (Array.isArray(kind)) {
    if (!Array.isArray(value)) fail(`${at} must be a list`);
    for (const [index, item] of value.entries()) checkShape(item, kind[0], `${at}[${index}]`);
  } else if (typeof kind === "object") {
    if (!isRecord(value)) fail(`${at} must be an object`);
    for (const member of Object.keys(value)) {
      if (!(member in kind)) fail(`${at} has the member "${member}", which this version of cdk/ does not know`);
    }
    for (const [member, wanted] of Object.entries(kind)) {
      const optional = typeof wanted === "object" && "optional" in wanted;
      const inner = optional ? (wanted as { optional: Kind }).optional : (wanted as Kind);
      if (value[member] === undefined || value[member] === null) {
        if (!optional) fail(`${at} lacks "${member}"`);
      } else checkShape(value[member], inner, at === "the file" ? member : `${at}.${member}`);
    }
  } else {
    const holds: Record<Exclude<Kind, Shape | [Shape]>, () => boolean> = {
      text: () => typeof value === "string" && value !== "",
      count: () => Number.isInteger(value) && (value as number) >= 0,
      integer: () => Number.isInteger(value),
      flag: () => typeof value === "boolean",
      object: () => isRecord(value),
      texts: () => Array.isArray(value) && value.every((it) => typeof it === "string" && it !== ""),
      any: () => true,
      machineType: () => value === "EXPRESS" || value === "STANDARD",
      viewType: () => VIEW_TYPES.includes(value as string),
    };
    if (!holds[kind]()) fail(`${at} is ${JSON.stringify(value)}, which is not a ${kind}`);
  }
}

/** By id; an error that says where the reference stands otherwise. */
export function find<T extends { id: string }>(list: T[], id: string, kind: string, from: string): T {
  return list.find((it) => it.id === id) ?? fail(`${from} refers to the ${kind} "${id}", which is not declared`);
}

/** What the placeholders of the definitions may be: each names something that the topology declares. */
export const PLACEHOLDER_KINDS = {
  StateMachineArn: "stateMachines",
  FunctionArn: "functions",
  QueueUrl: "queues",
  BucketName: "buckets",
  TableName: "tables",
} as const;

export function parseTopology(json: string, folder: string): TopologyFile {
  const value: unknown = JSON.parse(json);
  checkShape(value, SHAPE, "the file");
  const given = value as Partial<Topology> & Omit<Topology, "streams" | "rules" | "pipes" | "routes" | "schedules">;
  const { streams = [], rules = [], pipes = [], routes = [], schedules = [] } = given;
  const topology: TopologyFile = { ...given, streams, rules, pipes, routes, schedules, folder };
  // No sources at all is what the general route has.
  for (const route of routes) if (route.sources?.length === 0) delete route.sources;
  const unique = (kind: string, names: string[]) => {
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) fail(`the ${kind} "${twice}" is declared twice`);
  };
  for (const kind of ["stateMachines", "functions", "tables", "buckets", "queues"] as const) {
    const ids: string[] = topology[kind].map((it) => it.id);
    const names: string[] = topology[kind].map((it) => it.name);
    unique(kind, ids);
    unique(kind, names);
  }
  unique("rule or route", [...topology.rules.map((it) => it.name), ...topology.routes.map((it) => `route-${it.id}`)]);
  unique(
    "schedule",
    topology.schedules.map((it) => it.name),
  );

  for (const queue of topology.queues) {
    if (queue.redrive) find(topology.queues, queue.redrive.queue, "queue", `the redrive policy of ${queue.name}`);
  }
  for (const stream of topology.streams) {
    const from = `the stream of ${stream.table}`;
    const table = find(topology.tables, stream.table, "table", from);
    if (!table.stream) fail(`${from} is read, but the table has no stream`);
    find(topology.functions, stream.function, "function", from);
    const factor = stream.parallelizationFactor ?? 1;
    if (factor < 1 || factor > 10) fail(`${from} has a parallelizationFactor of ${factor}; it is 1 to 10`);
  }
  for (const rule of topology.rules) {
    const { stateMachine, queue, inputPath } = rule.target;
    const from = `rule ${rule.name}`;
    if ((stateMachine === undefined) === (queue === undefined))
      fail(`the target of ${from} must name exactly one of stateMachine and queue`);
    if (stateMachine) find(topology.stateMachines, stateMachine, "state machine", from);
    if (queue) find(topology.queues, queue, "queue", from);
    if (inputPath !== undefined && !/^\$(\.[A-Za-z0-9_-]+)*$/.test(inputPath))
      fail(`the inputPath "${inputPath}" of ${from} is not supported: write \`$\` or \`$.name.name\``);
  }
  checkRoutes(topology);
  checkPipes(topology);
  for (const schedule of topology.schedules) {
    find(topology.functions, schedule.function, "function", `schedule ${schedule.name}`);
    if (schedule.rateMinutes < 1) fail(`schedule ${schedule.name} must have a rateMinutes of at least 1`);
  }
  return topology;
}

function checkRoutes(topology: TopologyFile): void {
  for (const route of topology.routes) {
    const from = `route ${route.id}`;
    const queue = find(topology.queues, route.queue, "queue", from);
    const handler = find(topology.functions, route.function, "function", from);
    // "Configuring an Amazon SQS queue for use with Lambda", AWS: fewer, and a slow batch is delivered twice.
    if (queue.visibilityTimeoutSeconds < 6 * handler.timeoutSeconds) {
      fail(
        `the queue ${queue.name} of ${from} hides a message for ${queue.visibilityTimeoutSeconds} s; ` +
          `it must be at least six times the ${handler.timeoutSeconds} s that ${handler.name} may take`,
      );
    }
    if (!queue.redrive)
      fail(`the queue ${queue.name} of ${from} has no redrive policy: a message that always fails would never leave it`);
    if (route.maximumConcurrency !== undefined && route.maximumConcurrency < 2) {
      fail(`${from} has a maximumConcurrency of ${route.maximumConcurrency}; SQS event sources allow 2 to 1000`);
    }
    const general = topology.routes.filter((it) => it.eventType === route.eventType && !it.sources);
    if (!route.sources && general.length > 1)
      fail(`two routes without sources take ${route.eventType}: ${general.map((it) => it.id).join(", ")}`);
    for (const source of route.sources ?? []) {
      const rivals = topology.routes.filter((it) => it.eventType === route.eventType && it.sources?.includes(source));
      if (rivals.length > 1)
        fail(`${rivals.map((it) => `route ${it.id}`).join(" and ")} both take ${route.eventType} of ${source}`);
    }
    for (const other of topology.routes) {
      if (other.queue === route.queue && other.function !== route.function) {
        fail(`the queue ${queue.name} has two handlers: ${from} and route ${other.id}`);
      }
    }
  }
}

function checkPipes(topology: TopologyFile): void {
  for (const pipe of topology.pipes) {
    const from = `the pipe of queue ${pipe.queue}`;
    const queue = find(topology.queues, pipe.queue, "queue", from);
    const machine = find(topology.stateMachines, pipe.stateMachine, "state machine", from);
    if (machine.type !== "EXPRESS") fail(`${from}: ${machine.name} is not EXPRESS: a Standard machine cannot be waited for`);
    if (!queue.redrive)
      fail(`the queue ${queue.name} of ${from} has no redrive policy: a message that always fails would never leave it`);
    const route = topology.routes.find((it) => it.queue === pipe.queue);
    if (route) fail(`${from}: route ${route.id} reads that queue already`);
    if (topology.pipes.filter((it) => it.queue === pipe.queue).length > 1) fail(`${from} is declared twice`);
    const batchSize = pipe.batchSize ?? 10;
    if (batchSize < 1 || batchSize > 10) fail(`${from} has a batchSize of ${batchSize}; it is 1 to 10`);
  }
}

export function readTopology(path: string): TopologyFile {
  const absolute = resolve(path);
  try {
    return parseTopology(readFileSync(absolute, "utf8"), dirname(absolute));
  } catch (error) {
    throw new Error(`${basename(absolute)} cannot be used: ${(error as Error).message}`);
  }
}

/** The event pattern of a route. A route for sources takes its events away from the general route of that type. */
export function routePattern(topology: Topology, route: Route): Record<string, unknown> {
  const taken = topology.routes
    .filter((it) => it.eventType === route.eventType && it.sources && it.id !== route.id)
    .flatMap((it) => it.sources ?? [])
    .sort();
  const vendorId = route.sources ?? (taken.length > 0 ? [{ "anything-but": taken }] : undefined);
  return {
    source: ["sluice"],
    "detail-type": ["event.normalized", "event.corrected"],
    detail: { normalized: { eventType: [route.eventType] }, ...(vendorId ? { vendorId } : {}) },
  };
}

/** One event source: a queue with its handler, for all routes to that queue. */
export interface QueueSource {
  queue: string;
  function: string;
  priority: number;
  batchSize: number;
  maximumConcurrency?: number;
  maximumBatchingWindowSeconds?: number;
}

/** The event sources, highest priority first; where routes share a queue and disagree, that is an error. */
export function queueSources(topology: Topology): QueueSource[] {
  const sorted = [...topology.routes].sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
  const sources = new Map<string, QueueSource>();
  for (const route of sorted) {
    const source: QueueSource = {
      queue: route.queue,
      function: route.function,
      priority: route.priority ?? 0,
      batchSize: route.batchSize ?? 10,
    };
    if (route.maximumConcurrency) source.maximumConcurrency = route.maximumConcurrency;
    if (route.maximumBatchingWindowSeconds) source.maximumBatchingWindowSeconds = route.maximumBatchingWindowSeconds;
    const held = sources.get(route.queue);
    if (held && JSON.stringify(held) !== JSON.stringify(source)) {
      fail(`routes to the queue ${route.queue} disagree on function, priority or batch settings: they share one event source`);
    }
    sources.set(route.queue, source);
  }
  for (const { queue, batchSize, maximumBatchingWindowSeconds } of sources.values()) {
    if (batchSize > 10 && !maximumBatchingWindowSeconds) {
      fail(`the queue ${queue} has a batchSize of ${batchSize}: over 10, SQS needs a maximumBatchingWindowSeconds`);
    }
  }
  return [...sources.values()];
}

/** `CanonicalState` to `CANONICAL_STATE`. */
export function upperSnake(id: string): string {
  return id.replace(/(?<!^)([A-Z])/g, "_$1").toUpperCase();
}

/** `CanonicalState` to `canonical-state`. */
export function kebab(id: string): string {
  return upperSnake(id).toLowerCase().replaceAll("_", "-");
}
