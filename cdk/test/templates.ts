// The synthesized templates, with what tests ask of them.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { newApp } from "../lib/app.ts";
import { settings } from "../lib/settings.ts";
import { sluice } from "../lib/stacks.ts";
import { readTopology, type TopologyFile } from "../lib/topology.ts";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Resource {
  id: string;
  stack: string;
  Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: a template's properties have no type
  Properties: any;
  DependsOn?: string[];
  DeletionPolicy?: string;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  Metadata?: any;
}

export class Synthesized {
  readonly resources: Resource[];
  readonly topology: TopologyFile;
  readonly terminationProtection: Record<string, boolean>;

  constructor(
    readonly folder: string,
    topologyPath: string,
    terminationProtection: Record<string, boolean>,
  ) {
    this.topology = readTopology(topologyPath);
    this.terminationProtection = terminationProtection;
    this.resources = ["sluice-stateful", "sluice"].flatMap((stack) => {
      const template = JSON.parse(readFileSync(join(folder, `${stack}.template.json`), "utf8"));
      return Object.entries(template.Resources as Record<string, Omit<Resource, "id" | "stack">>).map(([id, it]) => ({
        ...it,
        Properties: it.Properties ?? {},
        id,
        stack,
      }));
    });
  }

  all(type: string): Resource[] {
    return this.resources.filter((it) => it.Type === type);
  }

  /** The one resource of a type whose property has a value. */
  one(type: string, property: string, value: unknown): Resource {
    const found = this.all(type).filter((it) => this.text(it.Properties[property]) === value);
    if (found.length !== 1) throw new Error(`${found.length} resources of type ${type} have ${property} = ${value}`);
    return found[0]!;
  }

  byId(id: string): Resource {
    const found = this.resources.find((it) => it.id === id);
    if (!found) throw new Error(`no resource ${id}`);
    return found;
  }

  /** What CloudFormation would make of a value, with a made-up account and region; references become readable names. */
  text(value: unknown): string {
    return typeof value === "string" || value === undefined ? (value as string) : this.flat(value);
  }

  private flat(value: unknown): string {
    if (typeof value !== "object" || value === null) return String(value);
    const it = value as Record<string, unknown>;
    if (typeof it.Ref === "string") {
      const pseudo: Record<string, string> = {
        "AWS::Partition": "aws",
        "AWS::Region": "eu-central-1",
        "AWS::AccountId": "111122223333",
        "AWS::URLSuffix": "amazonaws.com",
      };
      return pseudo[it.Ref] ?? this.reference(it.Ref, undefined);
    }
    if (Array.isArray(it["Fn::GetAtt"])) return this.reference(it["Fn::GetAtt"][0] as string, it["Fn::GetAtt"][1] as string);
    if (Array.isArray(it["Fn::Join"])) {
      const [glue, parts] = it["Fn::Join"] as [string, unknown[]];
      return parts.map((part) => this.text(part)).join(glue);
    }
    if (it["Fn::ImportValue"] !== undefined) return this.imported(this.text(it["Fn::ImportValue"]));
    return JSON.stringify(value);
  }

  private imported(name: string): string {
    const template = JSON.parse(readFileSync(join(this.folder, "sluice-stateful.template.json"), "utf8"));
    const output = Object.values(template.Outputs as Record<string, { Value: unknown; Export?: { Name: string } }>).find(
      (it) => it.Export?.Name === name,
    );
    if (!output) throw new Error(`${name} is imported, but not exported`);
    return this.text(output.Value);
  }

  private reference(id: string, attribute: string | undefined): string {
    const { Type, Properties } = this.byId(id);
    const account = "eu-central-1:111122223333";
    switch (Type) {
      case "AWS::S3::Bucket":
        return attribute === "Arn" ? `arn:aws:s3:::${this.text(Properties.BucketName)}` : this.text(Properties.BucketName);
      case "AWS::SQS::Queue":
        return attribute === "Arn"
          ? `arn:aws:sqs:${account}:${Properties.QueueName}`
          : attribute === "QueueName"
            ? Properties.QueueName
            : `https://sqs.eu-central-1.amazonaws.com/111122223333/${Properties.QueueName}`;
      case "AWS::DynamoDB::Table":
        if (attribute === "StreamArn") return `arn:aws:dynamodb:${account}:table/${Properties.TableName}/stream/<label>`;
        return attribute === "Arn" ? `arn:aws:dynamodb:${account}:table/${Properties.TableName}` : Properties.TableName;
      case "AWS::Lambda::Function":
        return attribute === "Arn" ? `arn:aws:lambda:${account}:function:${Properties.FunctionName}` : Properties.FunctionName;
      case "AWS::Lambda::Alias":
        return `arn:aws:lambda:${account}:function:${this.text(Properties.FunctionName)}:${Properties.Name}`;
      case "AWS::KMS::Key":
        return `arn:aws:kms:${account}:key/${/signs/.test(Properties.Description) ? "sluice-mappers" : "sluice-data"}`;
      case "AWS::Events::EventBus":
        return attribute === "Arn" ? `arn:aws:events:${account}:event-bus/${Properties.Name}` : Properties.Name;
      case "AWS::Logs::LogGroup":
        return attribute === "Arn" ? `arn:aws:logs:${account}:log-group:${Properties.LogGroupName}:*` : Properties.LogGroupName;
      case "AWS::StepFunctions::StateMachine":
        return attribute === "Name"
          ? Properties.StateMachineName
          : `arn:aws:states:${account}:stateMachine:${Properties.StateMachineName}`;
      default:
        return attribute ? `${id}.${attribute}` : id;
    }
  }
}

/** Synthesizes with placeholders for programs, and every rule of cdk-nag: an unexplained finding throws. */
export function synthesize(
  context: Record<string, unknown> = {},
  topology = join(ROOT, "state-machines", "topology.json"),
): Synthesized {
  const folder = mkdtempSync(join(tmpdir(), "sluice-cdk-"));
  const app = newApp({ outdir: folder, analyticsReporting: false });
  const given: Record<string, unknown> = { artefacts: "placeholder", topology, ...context };
  const { stateful, stateless } = sluice(
    app,
    settings(ROOT, (name) => given[name]),
  );
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
  return new Synthesized(folder, topology, {
    "sluice-stateful": stateful.terminationProtection ?? false,
    sluice: stateless.terminationProtection ?? false,
  });
}
