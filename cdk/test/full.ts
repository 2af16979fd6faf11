// A topology with every member that the reader knows: what is in the repository, and whatever of routes, schedules and a
// Distributed Map is not there yet, so that nothing of cdk/ goes untested.

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Topology } from "../lib/topology.ts";
import { ROOT } from "./templates.ts";

const REPLAY = {
  QueryLanguage: "JSONata",
  StartAt: "ForEach",
  States: {
    ForEach: {
      Type: "Map",
      ItemReader: {
        Resource: "arn:aws:states:::s3:getObject",
        ReaderConfig: { InputType: "JSONL" },
        Arguments: { Bucket: "${NormalizedBucketName}", Key: "{% $states.input.manifest %}" },
      },
      MaxConcurrency: 20,
      ItemProcessor: {
        ProcessorConfig: { Mode: "DISTRIBUTED", ExecutionType: "EXPRESS" },
        StartAt: "Normalize",
        States: {
          Normalize: {
            Type: "Task",
            Resource: "arn:aws:states:::lambda:invoke",
            Arguments: { FunctionName: "${NormalizeFunctionArn}", Payload: "{% $states.input %}" },
            TimeoutSeconds: 20,
            End: true,
          },
        },
      },
      ResultWriter: {
        Resource: "arn:aws:states:::s3:putObject",
        Arguments: { Bucket: "${NormalizedBucketName}", Prefix: "replays" },
      },
      End: true,
    },
  },
};

export function fullTopology(change: (topology: Topology) => void = () => {}): string {
  const source = join(ROOT, "state-machines");
  const folder = mkdtempSync(join(tmpdir(), "sluice-topology-"));
  for (const file of readdirSync(source).filter((it) => it.endsWith(".json"))) cpSync(join(source, file), join(folder, file));
  const topology = JSON.parse(readFileSync(join(source, "topology.json"), "utf8")) as Topology;
  const add = <T extends { id: string }>(list: T[], item: T) => {
    if (!list.some((it) => it.id === item.id)) list.push(item);
  };
  const redrive = { queue: "Dlq", maxReceiveCount: 5 };
  const queue = (id: string, name: string) => ({
    id,
    name,
    visibilityTimeoutSeconds: 180,
    messageRetentionSeconds: 1_209_600,
    redrive,
  });
  add(topology.functions, { id: "Apply", name: "sluice-apply", package: "apply", timeoutSeconds: 20, memoryMb: 256 });
  add(topology.functions, {
    id: "Reconcile",
    name: "sluice-reconcile",
    package: "reconcile",
    timeoutSeconds: 300,
    memoryMb: 1024,
  });
  add(topology.tables, { id: "CanonicalState", name: "sluice-canonical-state", partitionKey: "entity", sortKey: "part" });
  add(topology.tables, { id: "Balance", name: "sluice-balance", partitionKey: "vendorId", sortKey: "hour" });
  add(topology.tables, { id: "Fading", name: "sluice-fading", partitionKey: "id", timeToLive: "expiresAt" });
  add(topology.queues, queue("Inventory", "sluice-inventory"));
  add(topology.queues, queue("Orders", "sluice-orders"));
  add(topology.queues, queue("OrdersPriority", "sluice-orders-priority"));
  topology.routes ??= [];
  add(topology.routes, {
    id: "InventoryUpdated",
    eventType: "InventoryUpdated",
    queue: "Inventory",
    function: "Apply",
    batchSize: 10,
    maximumConcurrency: 20,
  });
  add(topology.routes, {
    id: "OrderPlaced",
    eventType: "OrderPlaced",
    queue: "Orders",
    function: "Apply",
    batchSize: 10,
    maximumConcurrency: 20,
  });
  add(topology.routes, {
    id: "OrderUpdated",
    eventType: "OrderUpdated",
    queue: "Orders",
    function: "Apply",
    batchSize: 10,
    maximumConcurrency: 20,
  });
  add(topology.routes, {
    id: "Vip",
    eventType: "OrderPlaced",
    sources: ["vendorVip", "vendorB"],
    priority: 20,
    queue: "Vip",
    function: "Apply",
    batchSize: 100,
    maximumBatchingWindowSeconds: 1,
  });
  add(topology.queues, queue("Vip", "sluice-orders-vip"));
  topology.schedules ??= [];
  if (topology.schedules.length === 0) topology.schedules.push({ name: "reconcile", rateMinutes: 5, function: "Reconcile" });
  topology.schedules.push({ name: "hourly", rateMinutes: 1, function: "Reconcile", input: { recountSeconds: 60 } });
  add(topology.stateMachines, { id: "Replay", name: "sluice-replay", type: "STANDARD", definition: "replay.asl.json" });
  if (!existsSync(join(folder, "replay.asl.json")))
    writeFileSync(join(folder, "replay.asl.json"), JSON.stringify(REPLAY, undefined, 2));
  change(topology);
  const path = join(folder, "topology.json");
  writeFileSync(path, JSON.stringify(topology, undefined, 2));
  return path;
}
