// The state machines' definitions: their placeholders, and what each may do, derived from the states themselves, so that a
// machine's role is never wider than its definition.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { INPUT_BUCKETS } from "./permissions.ts";
import { find, type Machine, PLACEHOLDER_KINDS, type TopologyFile } from "./topology.ts";

type PlaceholderKind = keyof typeof PLACEHOLDER_KINDS;

export interface Placeholder {
  /** `AcceptFunctionArn` */
  name: string;
  /** `Accept` */
  id: string;
  kind: PlaceholderKind;
}

export interface Definition {
  machine: Machine;
  /** The file, as it is. */
  text: string;
  placeholders: Placeholder[];
  needs: Need[];
}

/** What one state does to something outside. */
export type Need =
  | { does: "invoke"; function: string }
  | { does: "send"; queue: string }
  | { does: "start"; machine: string }
  | { does: "runChildren"; machine: string; label: string }
  | { does: "describeMapRuns"; machine: string }
  | { does: "readItems"; bucket: string }
  | { does: "writeResults"; bucket: string };

const PLACEHOLDER = /\$\{([A-Za-z0-9]+)\}/g;

function placeholder(topology: TopologyFile, machine: Machine, name: string): Placeholder {
  for (const kind of Object.keys(PLACEHOLDER_KINDS) as PlaceholderKind[]) {
    if (!name.endsWith(kind)) continue;
    const id = name.slice(0, -kind.length);
    const list: { id: string }[] = topology[PLACEHOLDER_KINDS[kind]];
    find(list, id, kind, `\${${name}} in ${machine.definition}`);
    return { name, id, kind };
  }
  throw new Error(
    `${machine.definition}: \${${name}} is no placeholder: it must end in ${Object.keys(PLACEHOLDER_KINDS).join(", ")}`,
  );
}

export function readDefinition(topology: TopologyFile, machine: Machine): Definition {
  const text = readFileSync(join(topology.folder, machine.definition), "utf8");
  const names = [...new Set([...text.matchAll(PLACEHOLDER)].map((match) => match[1]!))].sort();
  const placeholders = names.map((name) => placeholder(topology, machine, name));
  const needs: Need[] = [];
  collect(topology, machine, JSON.parse(text), needs);
  const distinct = [...new Map(needs.map((need) => [JSON.stringify(need), need])).values()];
  return { machine, text, placeholders, needs: distinct };
}

interface State {
  Type: string;
  Resource?: string;
  Arguments?: Record<string, unknown>;
  Label?: string;
  Branches?: Machinery[];
  ItemProcessor?: Machinery & { ProcessorConfig?: { Mode?: string } };
  ItemReader?: { Resource?: string; Arguments?: Record<string, unknown> };
  ResultWriter?: { Resource?: string; Arguments?: Record<string, unknown> };
}
interface Machinery {
  States: Record<string, State>;
}

function collect(topology: TopologyFile, machine: Machine, machinery: Machinery, needs: Need[]): void {
  for (const [name, state] of Object.entries(machinery.States)) {
    const at = `${machine.definition}, state ${name}`;
    const named = (value: unknown, kind: PlaceholderKind): string => {
      const match = typeof value === "string" ? /^\$\{([A-Za-z0-9]+)\}$/.exec(value) : null;
      if (!match)
        throw new Error(
          `${at}: ${JSON.stringify(value)} must be one placeholder, as "\${…${kind}}": what it may touch is not known otherwise`,
        );
      const found = placeholder(topology, machine, match[1]!);
      if (found.kind !== kind) throw new Error(`${at}: \${${found.name}} must be a ${kind}`);
      return found.id;
    };
    if (state.Type === "Task") {
      const given = state.Arguments ?? {};
      switch (state.Resource) {
        case "arn:aws:states:::lambda:invoke":
          needs.push({ does: "invoke", function: named(given.FunctionName, "FunctionArn") });
          break;
        case "arn:aws:states:::sqs:sendMessage":
          needs.push({ does: "send", queue: named(given.QueueUrl, "QueueUrl") });
          break;
        case "arn:aws:states:::states:startExecution":
          needs.push({ does: "start", machine: named(given.StateMachineArn, "StateMachineArn") });
          break;
        case "arn:aws:states:::aws-sdk:sfn:describeMapRun":
          needs.push({ does: "describeMapRuns", machine: machine.id });
          break;
        default:
          throw new Error(`${at}: nothing is known of the permissions for ${state.Resource}: add them to cdk/lib/definitions.ts`);
      }
    }
    if (state.ItemProcessor?.ProcessorConfig?.Mode === "DISTRIBUTED") {
      needs.push({ does: "runChildren", machine: machine.id, label: state.Label ?? "*" });
      const bucketOf = (value: unknown) => {
        const computed = typeof value === "string" && value.startsWith("{%") ? INPUT_BUCKETS[machine.id] : undefined;
        return find(topology.buckets, computed ?? named(value, "BucketName"), "bucket", at);
      };
      if (state.ItemReader) needs.push({ does: "readItems", bucket: bucketOf(state.ItemReader.Arguments?.Bucket).id });
      if (state.ResultWriter) {
        const bucket = bucketOf(state.ResultWriter.Arguments?.Bucket);
        if (bucket.writeOnce) {
          throw new Error(
            `${at}: Step Functions does not write with If-None-Match, so ${bucket.name}, which is write-once, would refuse its results`,
          );
        }
        needs.push({ does: "writeResults", bucket: bucket.id });
      }
    }
    for (const branch of state.Branches ?? []) collect(topology, machine, branch, needs);
    if (state.ItemProcessor) collect(topology, machine, state.ItemProcessor, needs);
  }
}
