// What people need who operate Sluice by the command line or the console: one policy to look, one to act as well. Attached to no one
// here; attach both to whoever acts. What each call of `sluice` asks for is in `crates/ops` and `crates/aws`.

import { Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { acknowledge, acknowledgeWildcard } from "./nag.ts";
import type { Processing } from "./processing.ts";
import type { Queues } from "./queues.ts";
import type { Storage } from "./storage.ts";
import { find, type Machine, type TopologyFile } from "./topology.ts";

const OBJECTS = "Objects of one bucket, whose keys have the event's id or a digest.";
const EXECUTIONS = "Executions of one machine, whose names have the event's id.";
const LISTS = "The calls that list machines and queues by name take no resource.";

export class People extends Construct {
  readonly reader: iam.ManagedPolicy;
  readonly operator: iam.ManagedPolicy;

  constructor(
    scope: Construct,
    private readonly topology: TopologyFile,
    private readonly parts: { processing: Processing; queues: Queues; storage: Storage },
  ) {
    super(scope, "People");
    this.reader = new iam.ManagedPolicy(this, "Reader", {
      managedPolicyName: "SluiceReader",
      description: "Look at everything in Sluice and change nothing. Raw requests and vendors' webhook secrets can be read.",
      statements: this.reading(),
    });
    this.operator = new iam.ManagedPolicy(this, "Operator", {
      managedPolicyName: "SluiceOperator",
      description: "Redrive, replay, hold, discard, accept, promote: attach it beside SluiceReader",
      statements: this.acting(),
    });
    const { storage } = parts;
    for (const bucket of topology.buckets.filter((it) => it.id !== "Uploads"))
      acknowledgeWildcard(this.reader, storage.objectsArn(bucket.id), OBJECTS);
    for (const machine of topology.stateMachines)
      for (const arn of this.runs(machine)) acknowledgeWildcard(this.reader, arn, EXECUTIONS);
    acknowledge(this.reader, "AwsSolutions-IAM5[Resource::*]", LISTS);
    acknowledgeWildcard(this.operator, storage.objectsArn("Replays"), OBJECTS);
    acknowledgeWildcard(this.operator, this.runs(this.machine("Recover"))[0]!, EXECUTIONS);
  }

  private machine(id: string): Machine {
    return find(this.topology.stateMachines, id, "state machine", "people");
  }

  /** ARNs of a machine's executions and of its Map Runs. */
  private runs(machine: Machine): string[] {
    const arn = this.parts.processing.machineArn(machine);
    return [`${arn.replace(":stateMachine:", ":execution:")}:*`, `${arn.replace(":stateMachine:", ":mapRun:")}/*`];
  }

  private reading(): iam.PolicyStatement[] {
    const { processing, queues, storage } = this.parts;
    const { tables, stateMachines } = this.topology;
    const buckets = this.topology.buckets.filter((it) => it.id !== "Uploads");
    const { region } = Stack.of(this);
    return [
      new iam.PolicyStatement({
        sid: "ReadRows",
        actions: ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"],
        resources: tables.flatMap((table) => [
          storage.tableArn(table.id),
          ...(table.indexes ?? []).map((index) => storage.tableArn(table.id, index.name)),
        ]),
      }),
      new iam.PolicyStatement({
        sid: "ReadObjects",
        actions: ["s3:GetObject"],
        resources: buckets.map((it) => storage.objectsArn(it.id)),
      }),
      new iam.PolicyStatement({
        sid: "ListObjects",
        actions: ["s3:ListBucket"],
        resources: buckets.map((it) => storage.bucketArn(it.id)),
      }),
      new iam.PolicyStatement({
        sid: "UseTheDataKey",
        actions: ["kms:Decrypt", "kms:DescribeKey"],
        resources: [storage.key.keyArn],
        conditions: { StringEquals: { "kms:ViaService": [`dynamodb.${region}.amazonaws.com`, `s3.${region}.amazonaws.com`] } },
      }),
      new iam.PolicyStatement({
        sid: "ReadMachines",
        actions: ["states:DescribeStateMachine", "states:ListExecutions"],
        resources: stateMachines.map((machine) => processing.machineArn(machine)),
      }),
      new iam.PolicyStatement({
        sid: "ReadRuns",
        actions: [
          "states:DescribeExecution",
          "states:DescribeStateMachineForExecution",
          "states:GetExecutionHistory",
          "states:ListMapRuns",
          "states:DescribeMapRun",
        ],
        resources: stateMachines.flatMap((machine) => this.runs(machine)),
      }),
      new iam.PolicyStatement({
        sid: "ReadQueues",
        actions: ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListMessageMoveTasks"],
        resources: this.topology.queues.map((queue) => queues.get(queue.id).queueArn),
      }),
      new iam.PolicyStatement({
        sid: "FindByName",
        actions: ["states:ListStateMachines", "sqs:ListQueues"],
        resources: ["*"],
      }),
    ];
  }

  private acting(): iam.PolicyStatement[] {
    const { processing, queues, storage } = this.parts;
    const { region } = Stack.of(this);
    const writing = ["Ledger", "Quarantine", "Divergence", "Operations", "Vendors"];
    const dead = this.topology.queues.filter((queue) => !queue.redrive);
    const served = this.topology.queues.filter((queue) => queue.redrive);
    return [
      new iam.PolicyStatement({
        sid: "WriteRows",
        actions: ["dynamodb:PutItem", "dynamodb:UpdateItem"],
        resources: writing.map((id) => storage.tableArn(id)),
      }),
      new iam.PolicyStatement({
        sid: "RevokeKeys",
        actions: ["dynamodb:DeleteItem"],
        resources: [storage.tableArn("Vendors")],
      }),
      new iam.PolicyStatement({
        sid: "WriteManifests",
        actions: ["s3:PutObject"],
        resources: [storage.objectsArn("Replays")],
      }),
      new iam.PolicyStatement({
        sid: "UseTheDataKey",
        actions: ["kms:Encrypt", "kms:GenerateDataKey"],
        resources: [storage.key.keyArn],
        conditions: { StringEquals: { "kms:ViaService": [`dynamodb.${region}.amazonaws.com`, `s3.${region}.amazonaws.com`] } },
      }),
      new iam.PolicyStatement({
        sid: "Start",
        actions: ["states:StartExecution"],
        resources: ["Operate", "Recover", "Replay"].map((id) => processing.machineArn(this.machine(id))),
      }),
      new iam.PolicyStatement({
        sid: "Redrive",
        actions: ["states:RedriveExecution"],
        resources: [this.runs(this.machine("Recover"))[0]!],
      }),
      new iam.PolicyStatement({
        sid: "MoveDeadLetters",
        actions: [
          "sqs:StartMessageMoveTask",
          "sqs:CancelMessageMoveTask",
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:ChangeMessageVisibility",
        ],
        resources: dead.map((queue) => queues.get(queue.id).queueArn),
      }),
      new iam.PolicyStatement({
        sid: "MoveBackTo",
        actions: ["sqs:SendMessage"],
        resources: served.map((queue) => queues.get(queue.id).queueArn),
      }),
    ];
  }
}
