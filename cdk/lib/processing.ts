// Functions by alias, state machines, and what drives them: the stream, the queues, the schedules. One role each.

import { ArnFormat, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import * as pipes from "aws-cdk-lib/aws-pipes";
import * as scheduler from "aws-cdk-lib/aws-scheduler";
import * as sqs from "aws-cdk-lib/aws-sqs";
import * as sfn from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { code } from "./artefacts.ts";
import { type Definition, type Need, type Placeholder, readDefinition } from "./definitions.ts";
import { acknowledge, acknowledgeWildcard } from "./nag.ts";
import { type Permission, permissionsOf, variable } from "./permissions.ts";
import type { Queues } from "./queues.ts";
import { type Settings, trustKeys } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { type Fn, find, type Machine, queueSources, type TopologyFile } from "./topology.ts";

const { PolicyStatement } = iam;

/** Why a statement names all resources. There is no other form; docs/iam.md repeats it. */
const TRACING = "X-Ray has no resources to name.";
const OBJECTS = "Objects of one bucket: keys are made of ids that are not known before.";
const EXECUTIONS = "The executions of one machine, which are named by events: ids that are not known before.";
const CHILDREN = "Its own executions and Map Runs, whose names Step Functions makes.";
const LOG_DELIVERY = 'The calls that configure log delivery take no resource ("Logging using CloudWatch Logs", Step Functions).';

/** A role's permissions are a resource of their own: whoever uses the role must not begin before it has them. */
export function dependOn(construct: Construct, role: iam.Role): void {
  construct.node.addDependency(role.node.findChild("DefaultPolicy"));
}

export interface ProcessingProps {
  topology: TopologyFile;
  settings: Settings;
  storage: Storage;
  queues: Queues;
}

export class Processing extends Construct {
  readonly bus: events.EventBus;
  readonly functions = new Map<string, lambda.Function>();
  readonly aliases = new Map<string, lambda.Alias>();
  readonly machines = new Map<string, sfn.StateMachine>();
  readonly definitions: Definition[];
  /** Dead letters of streams and schedules. */
  readonly deadLetters = new Map<string, sqs.Queue>();

  constructor(
    scope: Construct,
    private readonly props: ProcessingProps,
  ) {
    super(scope, "Processing");
    const { topology } = props;
    this.bus = new events.EventBus(this, "Bus", { eventBusName: topology.bus.name, description: "Sluice: references to events" });
    this.definitions = topology.stateMachines.map((machine) => readDefinition(topology, machine));
    for (const fn of topology.functions) this.function(fn);
    for (const definition of this.definitions) this.machine(definition);
    for (const stream of topology.streams) this.stream(stream);
    for (const source of queueSources(topology)) this.queueSource(source);
    for (const pipe of topology.pipes) this.pipe(pipe);
    for (const schedule of topology.schedules) this.schedule(schedule);
  }

  /** By name, so that a function may start a machine that runs functions. */
  machineArn(machine: Machine): string {
    return Stack.of(this).formatArn({
      service: "states",
      resource: "stateMachine",
      resourceName: machine.name,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  }

  private role(name: string, service: string, description: string): iam.Role {
    const { account } = Stack.of(this);
    return new iam.Role(this, `${name}Role`, {
      description,
      assumedBy: new iam.ServicePrincipal(
        service,
        service === "lambda.amazonaws.com" ? {} : { conditions: { StringEquals: { "aws:SourceAccount": account } } },
      ),
    });
  }

  private logGroup(name: string, logGroupName: string): logs.LogGroup {
    const { settings, storage } = this.props;
    return new logs.LogGroup(this, `${name}Logs`, {
      logGroupName,
      retention: settings.logRetentionDays as logs.RetentionDays,
      encryptionKey: storage.key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  private trace(role: iam.Role): void {
    if (!this.props.settings.tracing) return;
    role.addToPolicy(
      new PolicyStatement({
        sid: "Trace",
        actions: ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
        resources: ["*"],
      }),
    );
    acknowledge(role, "AwsSolutions-IAM5[Resource::*]", TRACING);
  }

  private function(fn: Fn): void {
    const { topology, settings } = this.props;
    const rows = permissionsOf(topology, fn);
    const role = this.role(fn.id, "lambda.amazonaws.com", `Function ${fn.name}`);
    const logGroup = this.logGroup(fn.id, `/aws/lambda/${fn.name}`);
    role.addToPolicy(
      new PolicyStatement({
        sid: "Log",
        actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
        resources: [logGroup.logGroupArn],
      }),
    );
    this.trace(role);
    for (const statement of this.statements(fn, role, rows)) role.addToPolicy(statement);
    this.useDataKey(role, rows);

    const architecture = fn.id === "Normalize" ? settings.normalizeArchitecture : settings.architecture;
    const trusted = fn.id === "Normalize" ? trustKeys(settings) : undefined;
    const resource = new lambda.Function(this, fn.id, {
      functionName: fn.name,
      description: `Sluice: ${fn.package}`,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      handler: "bootstrap",
      code: code(settings, fn, architecture),
      architecture: architecture === "arm64" ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64,
      memorySize: fn.memoryMb,
      timeout: Duration.seconds(fn.timeoutSeconds),
      role: role.withoutPolicyUpdates(),
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      systemLogLevelV2: settings.platformLogs ? lambda.SystemLogLevel.INFO : lambda.SystemLogLevel.WARN,
      tracing: settings.tracing ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
      environment: { ...this.environment(rows), ...(trusted ? { MAPPER_TRUST_KEYS: trusted } : {}) },
      currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN },
      ...(settings.reservedConcurrency[fn.id] ? { reservedConcurrentExecutions: settings.reservedConcurrency[fn.id] } : {}),
    });
    dependOn(resource, role);
    this.functions.set(fn.id, resource);
    this.aliases.set(fn.id, new lambda.Alias(this, `${fn.id}Live`, { aliasName: "live", version: resource.currentVersion }));
  }

  private environment(rows: Permission[]): Record<string, string> {
    const { topology, storage, queues } = this.props;
    const value = (row: Permission): string | undefined => {
      if (variable(row) === undefined) return undefined;
      if ("table" in row) return find(topology.tables, row.table, "table", "").name;
      if ("bucket" in row) return storage.buckets.get(row.bucket)!.bucketName;
      if ("queue" in row) return queues.get(row.queue).queueUrl;
      if ("machine" in row) return this.machineArn(find(topology.stateMachines, row.machine, "state machine", ""));
      return this.bus.eventBusName;
    };
    const pairs = rows.map((row): [string | undefined, string | undefined] => [variable(row), value(row)]);
    return Object.fromEntries(pairs.filter((pair): pair is [string, string] => pair[0] !== undefined && pair[1] !== undefined));
  }

  private statements(fn: Fn, role: iam.Role, rows: Permission[]): iam.PolicyStatement[] {
    const { topology, storage, queues } = this.props;
    return rows.flatMap((row, index): iam.PolicyStatement | iam.PolicyStatement[] => {
      const sid = `${fn.id}${index + 1}`;
      if ("table" in row) {
        return new PolicyStatement({
          sid,
          actions: row.actions.map((it) => `dynamodb:${it}`),
          resources: [storage.tableArn(row.table, row.index)],
          // "Using IAM policy conditions for fine-grained access control", DynamoDB Developer Guide.
          ...(row.exceptPartitions
            ? { conditions: { "ForAllValues:StringNotLike": { "dynamodb:LeadingKeys": [row.exceptPartitions] } } }
            : {}),
        });
      }
      if ("bucket" in row) {
        const list = row.actions.includes("ListBucket");
        if (!list) acknowledgeWildcard(role, storage.objectsArn(row.bucket), OBJECTS);
        return new PolicyStatement({
          sid,
          actions: row.actions.map((it) => `s3:${it}`),
          resources: [list ? storage.bucketArn(row.bucket) : storage.objectsArn(row.bucket)],
        });
      }
      if ("queue" in row)
        return new PolicyStatement({ sid, actions: ["sqs:SendMessage"], resources: [queues.get(row.queue).queueArn] });
      if ("machine" in row) {
        const machine = find(topology.stateMachines, row.machine, "state machine", "");
        const action = row.sync ? "states:StartSyncExecution" : "states:StartExecution";
        return new PolicyStatement({ sid, actions: [action], resources: [this.machineArn(machine)] });
      }
      if ("executions" in row) {
        const machine = find(topology.stateMachines, row.executions, "state machine", "");
        const arn = `${this.machineArn(machine).replace(":stateMachine:", ":execution:")}:*`;
        acknowledgeWildcard(role, arn, EXECUTIONS);
        return new PolicyStatement({ sid, actions: row.actions.map((it) => `states:${it}`), resources: [arn] });
      }
      if ("moves" in row) return this.moves(sid);
      return new PolicyStatement({ sid, actions: ["events:PutEvents"], resources: [this.bus.eventBusArn] });
    });
  }

  /** What SQS asks of whoever moves dead letters back ("Configuring a dead-letter queue redrive", Amazon SQS Developer Guide). */
  private moves(sid: string): iam.PolicyStatement[] {
    const { topology, queues } = this.props;
    const sources = topology.queues.filter((queue) => queue.redrive);
    const arns = (ids: string[]) => [...new Set(ids)].sort().map((id) => queues.get(id).queueArn);
    return [
      new PolicyStatement({
        sid: `${sid}From`,
        actions: [
          "sqs:StartMessageMoveTask",
          "sqs:ListMessageMoveTasks",
          "sqs:CancelMessageMoveTask",
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
        ],
        resources: arns(sources.map((queue) => queue.redrive!.queue)),
      }),
      new PolicyStatement({ sid: `${sid}To`, actions: ["sqs:SendMessage"], resources: arns(sources.map((queue) => queue.id)) }),
    ];
  }

  /** Decryption through DynamoDB and S3 only; what else it takes to write ("DynamoDB encryption at rest: usage notes", AWS). */
  private useDataKey(role: iam.Role, rows: Permission[]): void {
    const tables = rows.some((row) => "table" in row);
    const buckets = rows.some((row) => "bucket" in row);
    if (!tables && !buckets) return;
    const writes = rows.some(
      (row) => ("table" in row || "bucket" in row) && row.actions.some((it) => /^(Put|Update|Delete|BatchWrite)/.test(it)),
    );
    const { region } = Stack.of(this);
    role.addToPolicy(
      new PolicyStatement({
        sid: "UseTheDataKey",
        actions: ["kms:Decrypt", "kms:DescribeKey", ...(writes ? ["kms:Encrypt", "kms:GenerateDataKey"] : [])],
        resources: [this.props.storage.key.keyArn],
        conditions: {
          StringEquals: {
            "kms:ViaService": [
              ...(tables ? [`dynamodb.${region}.amazonaws.com`] : []),
              ...(buckets ? [`s3.${region}.amazonaws.com`] : []),
            ],
          },
        },
      }),
    );
  }

  private substitution(it: Placeholder): string {
    const { topology, storage, queues } = this.props;
    switch (it.kind) {
      case "FunctionArn":
        return this.aliases.get(it.id)!.functionArn;
      case "StateMachineArn":
        return this.machineArn(find(topology.stateMachines, it.id, "state machine", ""));
      case "QueueUrl":
        return queues.get(it.id).queueUrl;
      case "BucketName":
        return storage.buckets.get(it.id)!.bucketName;
      case "TableName":
        return find(topology.tables, it.id, "table", "").name;
    }
  }

  private machine(definition: Definition): void {
    const { settings } = this.props;
    const { machine, text, placeholders, needs } = definition;
    const express = machine.type === "EXPRESS";
    const role = this.role(`${machine.id}Machine`, "states.amazonaws.com", `State machine ${machine.name}`);
    const logGroup = this.logGroup(`${machine.id}Machine`, `/aws/vendedlogs/sluice/${machine.name}`);
    this.trace(role);
    role.addToPolicy(
      new PolicyStatement({
        sid: "DeliverLogs",
        actions: [
          "logs:CreateLogDelivery",
          "logs:GetLogDelivery",
          "logs:UpdateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:DescribeResourcePolicies",
          "logs:DescribeLogGroups",
        ],
        resources: ["*"],
      }),
    );
    acknowledge(role, "AwsSolutions-IAM5[Resource::*]", LOG_DELIVERY);
    for (const statement of needs.flatMap((need, index) => this.machineStatements(machine, role, need, index)))
      role.addToPolicy(statement);

    const resource = new sfn.StateMachine(this, `${machine.id}Machine`, {
      stateMachineName: machine.name,
      stateMachineType: express ? sfn.StateMachineType.EXPRESS : sfn.StateMachineType.STANDARD,
      definitionBody: sfn.DefinitionBody.fromString(text),
      definitionSubstitutions: Object.fromEntries(placeholders.map((it) => [it.name, this.substitution(it)])),
      role: role.withoutPolicyUpdates(),
      tracingEnabled: settings.tracing,
      // Without execution data: the input of `intake` holds payloads and API keys. Each function writes a line of its own per
      // event, so that an Express machine need tell of what failed only; a Standard one, of which there are few, tells all.
      logs: { destination: logGroup, includeExecutionData: false, level: express ? sfn.LogLevel.ERROR : sfn.LogLevel.ALL },
      removalPolicy: settings.protect && !express ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    dependOn(resource, role);
    if (express)
      acknowledge(
        resource,
        "AwsSolutions-SF1",
        "Each function writes one line per event (F1): all states of every execution would double the bill and tell nothing more.",
      );
    if (!settings.tracing) acknowledge(resource, "AwsSolutions-SF2", "Tracing was switched off by the setting `tracing`.");
    if (/"(MaxConcurrency|ToleratedFailure[A-Za-z]+)": "\{%/.test(text)) {
      // cfn-lint takes these for numbers only; in JSONata they may be expressions ("Using Map state in Distributed mode", AWS).
      // asl-validator knows, and judges the definition all the same.
      (resource.node.defaultChild as sfn.CfnStateMachine).addMetadata("cfn-lint", { config: { ignore_checks: ["E3601"] } });
    }
    this.machines.set(machine.id, resource);
  }

  private machineStatements(machine: Machine, role: iam.Role, need: Need, index: number): iam.PolicyStatement[] {
    const { topology, storage, queues } = this.props;
    const sid = `State${index + 1}`;
    const { partition, region, account } = Stack.of(this);
    switch (need.does) {
      case "invoke":
        return [
          new PolicyStatement({
            sid,
            actions: ["lambda:InvokeFunction"],
            resources: [this.aliases.get(need.function)!.functionArn],
          }),
        ];
      case "send":
        return [new PolicyStatement({ sid, actions: ["sqs:SendMessage"], resources: [queues.get(need.queue).queueArn] })];
      case "start":
        return [
          new PolicyStatement({
            sid,
            actions: ["states:StartExecution"],
            resources: [this.machineArn(find(topology.stateMachines, need.machine, "state machine", ""))],
          }),
        ];
      // "IAM policies for using Distributed Map state", and its section on redriving, Step Functions Developer Guide.
      case "runChildren": {
        const executions = `arn:${partition}:states:${region}:${account}:execution:${machine.name}`;
        const children = `${executions}/${need.label}:*`;
        for (const arn of [`${executions}:*`, children]) acknowledgeWildcard(role, arn, CHILDREN);
        return [
          new PolicyStatement({ sid, actions: ["states:StartExecution"], resources: [this.machineArn(machine)] }),
          new PolicyStatement({
            sid: `${sid}Own`,
            actions: ["states:DescribeExecution", "states:StopExecution"],
            resources: [`${executions}:*`],
          }),
          new PolicyStatement({ sid: `${sid}Redrive`, actions: ["states:RedriveExecution"], resources: [children] }),
        ];
      }
      case "describeMapRuns": {
        const runs = `arn:${partition}:states:${region}:${account}:mapRun:${machine.name}/*`;
        acknowledgeWildcard(role, runs, CHILDREN);
        return [new PolicyStatement({ sid, actions: ["states:DescribeMapRun"], resources: [runs] })];
      }
      case "readItems":
      case "writeResults": {
        acknowledgeWildcard(role, storage.objectsArn(need.bucket), OBJECTS);
        const reads = need.does === "readItems";
        const actions = reads
          ? ["s3:GetObject"]
          : ["s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"];
        return [
          new PolicyStatement({ sid, actions, resources: [storage.objectsArn(need.bucket)] }),
          new PolicyStatement({
            sid: `${sid}Key`,
            actions: reads ? ["kms:Decrypt"] : ["kms:Decrypt", "kms:GenerateDataKey"],
            resources: [storage.key.keyArn],
            conditions: { StringEquals: { "kms:ViaService": `s3.${region}.amazonaws.com` } },
          }),
        ];
      }
    }
  }

  /** A queue for what a trigger could not deliver: 14 days, watched by an alarm. */
  deadLetterQueue(id: string, name: string): sqs.Queue {
    const queue = new sqs.Queue(this, `${id}DeadLetters`, {
      queueName: name,
      retentionPeriod: Duration.days(14),
      visibilityTimeout: Duration.seconds(60),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    });
    acknowledge(queue, "AwsSolutions-SQS3", "It is a dead-letter queue itself; an alarm watches its depth.");
    this.deadLetters.set(name, queue);
    return queue;
  }

  private stream(stream: TopologyFile["streams"][number]): void {
    const { storage, topology } = this.props;
    const fn = find(topology.functions, stream.function, "function", "");
    const table = storage.tables.get(stream.table)!;
    const deadLetters = this.deadLetterQueue(`${stream.table}Stream`, `${fn.name}-dlq`);
    const role = this.node.findChild(`${fn.id}Role`) as iam.Role;
    role.addToPolicy(
      new PolicyStatement({
        sid: "ReadTheStream",
        actions: ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
        resources: [table.tableStreamArn!],
      }),
    );
    // Not by stream: the call takes none ("Actions, resources, and condition keys for Amazon DynamoDB", AWS).
    role.addToPolicy(new PolicyStatement({ sid: "ListStreams", actions: ["dynamodb:ListStreams"], resources: ["*"] }));
    acknowledge(
      role,
      "AwsSolutions-IAM5[Resource::*]",
      "ListStreams takes no stream; tracing, where it is on, has no resources to name.",
    );
    role.addToPolicy(
      new PolicyStatement({ sid: "GiveUpVisibly", actions: ["sqs:SendMessage"], resources: [deadLetters.queueArn] }),
    );
    role.addToPolicy(
      new PolicyStatement({
        sid: "DecryptTheStream",
        actions: ["kms:Decrypt"],
        resources: [storage.key.keyArn],
        conditions: { StringEquals: { "kms:ViaService": `dynamodb.${Stack.of(this).region}.amazonaws.com` } },
      }),
    );
    const mapping = new lambda.CfnEventSourceMapping(this, `${stream.table}To${fn.id}`, {
      eventSourceArn: table.tableStreamArn!,
      functionName: this.aliases.get(fn.id)!.functionArn,
      startingPosition: "TRIM_HORIZON",
      batchSize: stream.batchSize,
      bisectBatchOnFunctionError: stream.bisectBatchOnFunctionError ?? false,
      functionResponseTypes: ["ReportBatchItemFailures"],
      parallelizationFactor: stream.parallelizationFactor ?? 1,
      // Records live 24 h. Half of it for an outage of the bus; then the record's place is told to the dead-letter queue, and
      // Reconcile finds the row itself, which still says RECEIVED.
      maximumRecordAgeInSeconds: 43_200,
      maximumRetryAttempts: -1,
      destinationConfig: { onFailure: { destination: deadLetters.queueArn } },
    });
    dependOn(mapping, role);
  }

  private queueSource(source: ReturnType<typeof queueSources>[number]): void {
    const queue = this.props.queues.get(source.queue);
    const role = this.node.findChild(`${source.function}Role`) as iam.Role;
    role.addToPolicy(
      new PolicyStatement({
        sid: `Consume${source.queue}`,
        actions: [
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:ChangeMessageVisibility",
        ],
        resources: [queue.queueArn],
      }),
    );
    // A message that can never succeed is given up by the function itself, to where the redrive policy would move it.
    if (queue.deadLetterQueue)
      role.addToPolicy(
        new PolicyStatement({
          sid: `GiveUp${source.queue}`,
          actions: ["sqs:SendMessage", "sqs:GetQueueUrl"],
          resources: [queue.deadLetterQueue.queue.queueArn],
        }),
      );
    const mapping = new lambda.CfnEventSourceMapping(this, `${source.queue}To${source.function}`, {
      eventSourceArn: queue.queueArn,
      functionName: this.aliases.get(source.function)!.functionArn,
      batchSize: source.batchSize,
      functionResponseTypes: ["ReportBatchItemFailures"],
      ...(source.maximumBatchingWindowSeconds ? { maximumBatchingWindowInSeconds: source.maximumBatchingWindowSeconds } : {}),
      ...(source.maximumConcurrency ? { scalingConfig: { maximumConcurrency: source.maximumConcurrency } } : {}),
    });
    dependOn(mapping, role);
  }

  /** A pipe that waits for its Express machine: what the machine names in `batchItemFailures` comes again (ADR 0087). */
  private pipe(pipe: TopologyFile["pipes"][number]): void {
    const { topology, queues } = this.props;
    const queue = queues.get(pipe.queue);
    const machine = find(topology.stateMachines, pipe.stateMachine, "state machine", "");
    const { name } = find(topology.queues, pipe.queue, "queue", "");
    const { account } = Stack.of(this);
    const pipeArn = Stack.of(this).formatArn({ service: "pipes", resource: "pipe", resourceName: name });
    const role = new iam.Role(this, `${pipe.queue}PipeRole`, {
      description: `Pipe ${name}`,
      assumedBy: new iam.ServicePrincipal("pipes.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": account }, ArnEquals: { "aws:SourceArn": pipeArn } },
      }),
    });
    // "Permissions for Amazon EventBridge Pipes", User Guide.
    role.addToPolicy(
      new PolicyStatement({
        sid: "Consume",
        actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        resources: [queue.queueArn],
      }),
    );
    role.addToPolicy(
      new PolicyStatement({
        sid: "RunAndWait",
        actions: ["states:StartSyncExecution"],
        resources: [this.machineArn(machine)],
      }),
    );
    const logGroup = this.logGroup(`${pipe.queue}Pipe`, `/aws/vendedlogs/sluice/pipes/${name}`);
    const resource = new pipes.CfnPipe(this, `${pipe.queue}Pipe`, {
      name,
      description: `Sluice: ${name} to ${machine.name}, which is waited for`,
      roleArn: role.roleArn,
      source: queue.queueArn,
      sourceParameters: { sqsQueueParameters: { batchSize: pipe.batchSize ?? 10 } },
      target: this.machineArn(machine),
      targetParameters: { stepFunctionStateMachineParameters: { invocationType: "REQUEST_RESPONSE" } },
      // Without execution data: a line says that a batch failed, and the machine's own log says why.
      logConfiguration: { cloudwatchLogsLogDestination: { logGroupArn: logGroup.logGroupArn }, level: "ERROR" },
    });
    dependOn(resource, role);
    resource.node.addDependency(this.machines.get(machine.id)!);
  }

  private schedule(schedule: TopologyFile["schedules"][number]): void {
    const alias = this.aliases.get(schedule.function)!;
    const id = `Schedule-${schedule.name}`;
    const deadLetters = this.deadLetterQueue(id, `sluice-schedule-${schedule.name}-dlq`);
    const role = this.role(id, "scheduler.amazonaws.com", `Schedule ${schedule.name}`);
    role.addToPolicy(new PolicyStatement({ sid: "Invoke", actions: ["lambda:InvokeFunction"], resources: [alias.functionArn] }));
    role.addToPolicy(
      new PolicyStatement({ sid: "GiveUpVisibly", actions: ["sqs:SendMessage"], resources: [deadLetters.queueArn] }),
    );
    const unit = schedule.rateMinutes === 1 ? "minute" : "minutes";
    const resource = new scheduler.CfnSchedule(this, id, {
      name: `sluice-${schedule.name}`,
      description: `Sluice: ${schedule.function} every ${schedule.rateMinutes} ${unit}`,
      scheduleExpression: `rate(${schedule.rateMinutes} ${unit})`,
      flexibleTimeWindow: { mode: "OFF" },
      target: {
        arn: alias.functionArn,
        roleArn: role.roleArn,
        input: JSON.stringify(schedule.input ?? {}),
        retryPolicy: {
          maximumRetryAttempts: 2,
          maximumEventAgeInSeconds: Math.max(60, Math.min(86_400, schedule.rateMinutes * 60)),
        },
        deadLetterConfig: { arn: deadLetters.queueArn },
      },
    });
    dependOn(resource, role);
  }
}
