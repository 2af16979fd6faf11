// Assertions for every promise about the templates. Each runs on the repository's topology and on the full one (full.ts).

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parse } from "yaml";
import { type Grant, iamTable, type Statement, whyAllResources } from "../lib/iam-table.ts";
import { METRICS } from "../lib/observability.ts";
import { permissionsOf, variable } from "../lib/permissions.ts";
import { routePattern } from "../lib/topology.ts";
import { type Check, test } from "./harness.ts";
import { ROOT, type Synthesized } from "./templates.ts";

const statementsOf = (document: { Statement: Statement | Statement[] }): Statement[] => [document.Statement].flat();
const actionsOf = (statement: Statement): string[] => [statement.Action].flat();
const resourcesOf = (it: Synthesized, statement: Statement): string[] =>
  [statement.Resource].flat().map((value) => it.text(value));

/** Every role with all that is attached to it. */
function grants(it: Synthesized): (Grant & { id: string; managed: string[] })[] {
  const roles = it.all("AWS::IAM::Role").map((role) => {
    const attached = it
      .all("AWS::IAM::Policy")
      .filter((policy) => (policy.Properties.Roles as { Ref?: string }[]).some((ref) => ref.Ref === role.id))
      .flatMap((policy) => statementsOf(policy.Properties.PolicyDocument));
    const inline = ((role.Properties.Policies ?? []) as { PolicyDocument: { Statement: Statement[] } }[]).flatMap((policy) =>
      statementsOf(policy.PolicyDocument),
    );
    const trust = statementsOf(role.Properties.AssumeRolePolicyDocument).map((statement) => {
      const service = it.text((statement.Principal as { Service: unknown }).Service);
      const when = Object.entries(statement.Condition ?? {}).flatMap(([, pairs]) =>
        Object.entries(pairs).map(([key, value]) => `\`${key}\` is \`${it.text(value)}\``),
      );
      return `\`${service}\`${when.length > 0 ? `, if ${when.join(" and ")}` : ""}`;
    });
    const managed = ((role.Properties.ManagedPolicyArns ?? []) as unknown[]).map((arn) => it.text(arn));
    return {
      id: role.id,
      who: role.Properties.Description ?? `API Gateway, for its logs (${managed.map((arn) => arn.split("/").pop()).join(", ")})`,
      assumedBy: trust.join("; "),
      statements: [...attached, ...inline],
      managed,
    };
  });
  const policies = it.all("AWS::IAM::ManagedPolicy").map((policy) => ({
    id: policy.id,
    who: `Policy ${policy.Properties.ManagedPolicyName}`,
    assumedBy: "whoever it is attached to, which is no one here",
    statements: statementsOf(policy.Properties.PolicyDocument),
    managed: [],
  }));
  return [...roles, ...policies];
}

function resourcePolicies(it: Synthesized): { on: string; statements: Statement[] }[] {
  const name = (ref: unknown) => it.text(ref).split("/").pop()!;
  return [
    ...it.all("AWS::S3::BucketPolicy").map((policy) => ({
      on: `Bucket ${it.text(policy.Properties.Bucket)}`,
      statements: statementsOf(policy.Properties.PolicyDocument),
    })),
    ...it.all("AWS::SQS::QueuePolicy").map((policy) => ({
      on: `Queue ${name(policy.Properties.Queues[0])}`,
      statements: statementsOf(policy.Properties.PolicyDocument),
    })),
    ...it
      .all("AWS::KMS::Key")
      .map((key) => ({ on: `Key: ${key.Properties.Description}`, statements: statementsOf(key.Properties.KeyPolicy) })),
  ];
}

/** GitHub's anchor of a heading. */
function anchors(markdown: string): Set<string> {
  return new Set(
    [...markdown.matchAll(/^#+ (.+)$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

export function templateTests(label: string, synthesized: () => Synthesized): void {
  const on = (name: string, body: (check: Check, it: Synthesized) => void | Promise<void>) =>
    test(`${label}: ${name}`, (check) => body(check, synthesized()));

  on("what must survive is in the protected stack, and is retained", (check, it) => {
    check.equal(it.terminationProtection["sluice-stateful"], true, "termination protection");
    for (const type of ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key"]) {
      check.that(it.all(type).length > 0, type);
      for (const resource of it.all(type))
        check.equal([resource.stack, resource.DeletionPolicy], ["sluice-stateful", "Retain"], resource.id);
    }
    for (const queue of it.topology.queues) {
      const resource = it.one("AWS::SQS::Queue", "QueueName", queue.name);
      check.equal([resource.stack, resource.DeletionPolicy], ["sluice-stateful", "Retain"], queue.name);
    }
    for (const table of it.all("AWS::DynamoDB::Table")) check.equal(table.Properties.DeletionProtectionEnabled, true, table.id);
  });

  on("buckets are private, versioned and encrypted with our key, and demand TLS", (check, it) => {
    for (const bucket of it.topology.buckets) {
      const resource = it.one("AWS::S3::Bucket", "BucketName", `${bucket.name}-111122223333-eu-central-1`);
      const { Properties } = resource;
      check.equal(
        Properties.PublicAccessBlockConfiguration,
        { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
        bucket.name,
      );
      check.equal(Properties.VersioningConfiguration, { Status: "Enabled" }, bucket.name);
      const [rule] = Properties.BucketEncryption.ServerSideEncryptionConfiguration;
      check.equal([rule.ServerSideEncryptionByDefault.SSEAlgorithm, rule.BucketKeyEnabled], ["aws:kms", true], bucket.name);
      check.equal(
        it.text(rule.ServerSideEncryptionByDefault.KMSMasterKeyID),
        "arn:aws:kms:eu-central-1:111122223333:key/sluice-data",
        bucket.name,
      );
      const statements = resourcePolicies(it).find(
        (policy) => policy.on === `Bucket ${it.text(Properties.BucketName)}`,
      )!.statements;
      const denied = (condition: Record<string, unknown>) =>
        statements.some(
          (statement) =>
            statement.Effect === "Deny" &&
            JSON.stringify(statement.Condition) === JSON.stringify(condition) &&
            actionsOf(statement).includes("s3:*"),
        );
      check.that(denied({ Bool: { "aws:SecureTransport": "false" } }), `${bucket.name} demands TLS`);
    }
  });

  on("the raw bucket: Object Lock, creation only, no deletion", (check, it) => {
    for (const bucket of it.topology.buckets) {
      const resource = it.one("AWS::S3::Bucket", "BucketName", `${bucket.name}-111122223333-eu-central-1`);
      const raw = bucket.id === "Raw";
      check.equal(resource.Properties.ObjectLockEnabled ?? false, raw, bucket.name);
      if (raw)
        check.equal(
          resource.Properties.ObjectLockConfiguration.Rule.DefaultRetention,
          { Days: 400, Mode: "GOVERNANCE" },
          "retention",
        );
      const policy = resourcePolicies(it).find((policy) => policy.on === `Bucket ${it.text(resource.Properties.BucketName)}`)!;
      const bySid = new Map(policy.statements.map((statement) => [statement.Sid, statement]));
      const once = bySid.get("ObjectsAreCreatedOnce");
      const kept = bySid.get("NothingIsDeleted");
      check.equal(
        [!!once, !!kept],
        [!!bucket.writeOnce, !!bucket.writeOnce],
        `${bucket.name} is write-once if the topology says so`,
      );
      if (!once || !kept) continue;
      check.equal(
        [once.Effect, actionsOf(once), once.Condition, once.Principal],
        [
          "Deny",
          ["s3:PutObject"],
          { Null: { "s3:if-none-match": "true" }, Bool: { "s3:ObjectCreationOperation": "true" } },
          { AWS: "*" },
        ],
        bucket.name,
      );
      check.equal(
        [kept.Effect, actionsOf(kept), kept.Condition, kept.Principal],
        ["Deny", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"], undefined, { AWS: "*" }],
        bucket.name,
      );
      for (const statement of [once, kept])
        check.equal(resourcesOf(it, statement), [`arn:aws:s3:::${it.text(resource.Properties.BucketName)}/*`], bucket.name);
    }
  });

  on("tables are what the topology says, on demand, recoverable, encrypted, and stated to be warm", (check, it) => {
    check.equal(it.all("AWS::DynamoDB::Table").length, it.topology.tables.length, "no other tables");
    for (const table of it.topology.tables) {
      const { Properties } = it.one("AWS::DynamoDB::Table", "TableName", table.name);
      const keys = (of: { partitionKey: string; sortKey?: string }) => [
        { AttributeName: of.partitionKey, KeyType: "HASH" },
        ...(of.sortKey ? [{ AttributeName: of.sortKey, KeyType: "RANGE" }] : []),
      ];
      check.equal(Properties.KeySchema, keys(table), table.name);
      check.equal(Properties.BillingMode, "PAY_PER_REQUEST", table.name);
      check.equal(Properties.PointInTimeRecoverySpecification, { PointInTimeRecoveryEnabled: true }, table.name);
      check.equal([Properties.SSESpecification.SSEEnabled, Properties.SSESpecification.SSEType], [true, "KMS"], table.name);
      check.equal(Properties.StreamSpecification?.StreamViewType, table.stream, table.name);
      check.equal(Properties.TimeToLiveSpecification?.AttributeName, table.timeToLive, table.name);
      const warm = { ReadUnitsPerSecond: 12_000, WriteUnitsPerSecond: table.id === "Ledger" ? 10_000 : 4_000 };
      check.equal(Properties.WarmThroughput, warm, table.name);
      check.equal((Properties.GlobalSecondaryIndexes ?? []).length, table.indexes?.length ?? 0, table.name);
      for (const [index, wanted] of (table.indexes ?? []).entries()) {
        const found = Properties.GlobalSecondaryIndexes[index];
        check.equal(
          [found.IndexName, found.KeySchema, found.Projection, found.WarmThroughput],
          [wanted.name, keys(wanted), { ProjectionType: "ALL" }, warm],
          wanted.name,
        );
      }
    }
  });

  on("queues are encrypted, demand TLS, and have the topology's redrive policies", (check, it) => {
    for (const resource of it.all("AWS::SQS::Queue")) {
      check.equal(resource.Properties.SqsManagedSseEnabled, true, resource.id);
      const policy = resourcePolicies(it).find((policy) => policy.on === `Queue ${resource.Properties.QueueName}`);
      check.that(
        policy?.statements.some(
          (statement) =>
            statement.Effect === "Deny" && JSON.stringify(statement.Condition) === '{"Bool":{"aws:SecureTransport":"false"}}',
        ),
        `${resource.id} demands TLS`,
      );
    }
    for (const queue of it.topology.queues) {
      const { Properties } = it.one("AWS::SQS::Queue", "QueueName", queue.name);
      check.equal(
        [Properties.VisibilityTimeout, Properties.MessageRetentionPeriod],
        [queue.visibilityTimeoutSeconds, queue.messageRetentionSeconds],
        queue.name,
      );
      const redrive = Properties.RedrivePolicy && {
        queue: it.text(Properties.RedrivePolicy.deadLetterTargetArn).split(":").pop(),
        maxReceiveCount: Properties.RedrivePolicy.maxReceiveCount,
      };
      const wanted = queue.redrive && {
        queue: it.topology.queues.find((other) => other.id === queue.redrive!.queue)!.name,
        maxReceiveCount: queue.redrive.maxReceiveCount,
      };
      check.equal(redrive, wanted, queue.name);
    }
  });

  on("stream to relay: partial failures, bisection, by alias, and giving up is visible", (check, it) => {
    const mappings = it
      .all("AWS::Lambda::EventSourceMapping")
      .filter((mapping) => it.text(mapping.Properties.EventSourceArn).includes("/stream/"));
    check.equal(mappings.length, it.topology.streams.length, "as many as the topology has");
    for (const [index, stream] of it.topology.streams.entries()) {
      const { Properties } = mappings[index]!;
      const table = it.topology.tables.find((table) => table.id === stream.table)!;
      const fn = it.topology.functions.find((fn) => fn.id === stream.function)!;
      check.that(it.text(Properties.EventSourceArn).includes(`table/${table.name}/stream/`), "the table");
      check.that(it.text(Properties.FunctionName).endsWith(`:function:${fn.name}:live`), "by alias");
      check.equal(
        [
          Properties.FunctionResponseTypes,
          Properties.BisectBatchOnFunctionError,
          Properties.BatchSize,
          Properties.ParallelizationFactor,
          Properties.StartingPosition,
        ],
        [
          ["ReportBatchItemFailures"],
          stream.bisectBatchOnFunctionError,
          stream.batchSize,
          stream.parallelizationFactor ?? 1,
          "TRIM_HORIZON",
        ],
        fn.name,
      );
      check.that(it.text(Properties.DestinationConfig.OnFailure.Destination).endsWith(`:${fn.name}-dlq`), "a dead-letter queue");
      check.that(Properties.MaximumRecordAgeInSeconds < 86_400, "before the record is gone");
    }
  });

  on("every rule and route has its pattern, its target and a dead-letter queue that only it may write to", (check, it) => {
    const { topology } = it;
    const wanted = [
      ...topology.rules.map((rule) => ({ name: rule.name, pattern: rule.pattern, target: rule.target })),
      ...topology.routes.map((route) => ({
        name: `route-${route.id}`,
        pattern: routePattern(topology, route),
        target: { queue: route.queue, stateMachine: undefined, inputPath: undefined },
      })),
    ];
    check.equal(it.all("AWS::Events::Rule").length, wanted.length, "no other rules");
    for (const rule of wanted) {
      const { Properties } = it.one("AWS::Events::Rule", "Name", rule.name);
      check.equal(
        [Properties.EventPattern, it.text(Properties.EventBusName), Properties.Targets.length],
        [rule.pattern, topology.bus.name, 1],
        rule.name,
      );
      const [target] = Properties.Targets;
      const machine = topology.stateMachines.find((machine) => machine.id === rule.target.stateMachine);
      const queue = topology.queues.find((queue) => queue.id === rule.target.queue);
      check.that(it.text(target.Arn).endsWith(machine ? `:stateMachine:${machine.name}` : `:${queue!.name}`), rule.name);
      check.equal(target.InputPath, rule.target.inputPath, rule.name);
      check.equal(target.RetryPolicy, { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 }, rule.name);
      const deadLetters = it.text(target.DeadLetterConfig.Arn).split(":").pop()!;
      check.equal(deadLetters, `sluice-rule-${rule.name}-dlq`, rule.name);
      const ruleArn = `arn:aws:events:eu-central-1:111122223333:rule/${topology.bus.name}/${rule.name}`;
      for (const name of queue ? [deadLetters, queue.name] : [deadLetters]) {
        const allowed = resourcePolicies(it)
          .find((policy) => policy.on === `Queue ${name}`)!
          .statements.filter((statement) => statement.Effect === "Allow");
        const own = allowed.filter((statement) => it.text(Object.values(statement.Condition!.ArnEquals!)[0]) === ruleArn);
        check.equal(
          own.map((statement) => [actionsOf(statement), statement.Principal]),
          [[["sqs:SendMessage"], { Service: "events.amazonaws.com" }]],
          `${rule.name} to ${name}`,
        );
        check.that(
          allowed.every((statement) => statement.Condition?.ArnEquals),
          `${name} takes from named rules only`,
        );
      }
      if (machine) {
        const role = grants(it).find((grant) => grant.id === (target.RoleArn["Fn::GetAtt"] as string[])[0])!;
        check.equal(
          role.statements.map((statement) => [actionsOf(statement), resourcesOf(it, statement)]),
          [[["states:StartExecution"], [it.text(target.Arn)]]],
          rule.name,
        );
      }
    }
  });

  on("a pipe waits for its machine, may do nothing but read its queue and run it, and logs what failed", (check, it) => {
    const { topology } = it;
    check.equal(it.all("AWS::Pipes::Pipe").length, topology.pipes.length, "no other pipes");
    for (const pipe of topology.pipes) {
      const queue = topology.queues.find((queue) => queue.id === pipe.queue)!;
      const machine = topology.stateMachines.find((machine) => machine.id === pipe.stateMachine)!;
      const { Properties } = it.one("AWS::Pipes::Pipe", "Name", queue.name);
      const [source, target] = [it.text(Properties.Source), it.text(Properties.Target)];
      check.that(source.endsWith(`:${queue.name}`) && target.endsWith(`:stateMachine:${machine.name}`), queue.name);
      check.equal(
        [Properties.SourceParameters, Properties.TargetParameters],
        [
          { SqsQueueParameters: { BatchSize: pipe.batchSize ?? 10 } },
          { StepFunctionStateMachineParameters: { InvocationType: "REQUEST_RESPONSE" } },
        ],
        queue.name,
      );
      const { Level, IncludeExecutionData, CloudwatchLogsLogDestination } = Properties.LogConfiguration;
      check.equal([Level, IncludeExecutionData], ["ERROR", undefined], queue.name);
      check.that(it.text(CloudwatchLogsLogDestination.LogGroupArn).includes(`/pipes/${queue.name}`), queue.name);
      const role = grants(it).find((grant) => grant.id === (Properties.RoleArn["Fn::GetAtt"] as string[])[0])!;
      check.equal(
        role.statements.map((statement) => [actionsOf(statement).sort(), resourcesOf(it, statement)]),
        [
          [["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [source]],
          [["states:StartSyncExecution"], [target]],
        ],
        queue.name,
      );
    }
  });

  on("a route for sources takes its events away from the general one", (check, it) => {
    const matches = (pattern: unknown, value: unknown): boolean => {
      if (Array.isArray(pattern))
        return pattern.some((one) =>
          typeof one === "object" ? !(one["anything-but"] as unknown[]).includes(value) : one === value,
        );
      return Object.entries(pattern as object).every(([name, inner]) =>
        matches(inner, (value as Record<string, unknown>)?.[name]),
      );
    };
    check.that(true, "there may be no routes yet");
    const types = new Set(it.topology.routes.map((route) => route.eventType));
    const vendors = new Set(["someone", ...it.topology.routes.flatMap((route) => route.sources ?? [])]);
    for (const eventType of types) {
      for (const vendorId of vendors) {
        const special = it.topology.routes.find((route) => route.eventType === eventType && route.sources?.includes(vendorId));
        const general = it.topology.routes.find((route) => route.eventType === eventType && !route.sources);
        const wanted = special ?? general;
        for (const told of ["event.normalized", "event.corrected"]) {
          const event = { source: "sluice", "detail-type": told, detail: { vendorId, normalized: { eventType } } };
          const taken = it.all("AWS::Events::Rule").filter((rule) => matches(rule.Properties.EventPattern, event));
          check.equal(
            taken.map((rule) => rule.Properties.Name),
            wanted ? [`route-${wanted.id}`] : [],
            `${told}, ${eventType} of ${vendorId}`,
          );
        }
      }
    }
  });

  on("each routed queue has one event source, by alias, with partial failures", (check, it) => {
    const mappings = it
      .all("AWS::Lambda::EventSourceMapping")
      .filter((mapping) => it.text(mapping.Properties.EventSourceArn).startsWith("arn:aws:sqs:"));
    check.equal(
      mappings.map((mapping) => it.text(mapping.Properties.EventSourceArn).split(":").pop()).sort(),
      [...new Set(it.topology.routes.map((route) => it.topology.queues.find((queue) => queue.id === route.queue)!.name))].sort(),
      "one each",
    );
    for (const mapping of mappings) {
      const name = it.text(mapping.Properties.EventSourceArn).split(":").pop();
      const queue = it.topology.queues.find((queue) => queue.name === name)!;
      const route = it.topology.routes.find((route) => route.queue === queue.id)!;
      check.equal(mapping.Properties.FunctionResponseTypes, ["ReportBatchItemFailures"], name!);
      check.that(it.text(mapping.Properties.FunctionName).endsWith(":live"), name!);
      check.equal(
        [
          mapping.Properties.BatchSize,
          mapping.Properties.ScalingConfig?.MaximumConcurrency,
          mapping.Properties.MaximumBatchingWindowInSeconds,
        ],
        [route.batchSize ?? 10, route.maximumConcurrency, route.maximumBatchingWindowSeconds],
        name!,
      );
    }
  });

  on("schedules invoke their function by alias, and giving up is visible", (check, it) => {
    check.equal(it.all("AWS::Scheduler::Schedule").length, it.topology.schedules.length, "as many as the topology has");
    for (const schedule of it.topology.schedules) {
      const { Properties } = it.one("AWS::Scheduler::Schedule", "Name", `sluice-${schedule.name}`);
      const fn = it.topology.functions.find((fn) => fn.id === schedule.function)!;
      check.equal(
        Properties.ScheduleExpression,
        schedule.rateMinutes === 1 ? "rate(1 minute)" : `rate(${schedule.rateMinutes} minutes)`,
        schedule.name,
      );
      check.that(it.text(Properties.Target.Arn).endsWith(`:function:${fn.name}:live`), schedule.name);
      check.equal(JSON.parse(Properties.Target.Input), schedule.input ?? {}, schedule.name);
      check.that(
        it.text(Properties.Target.DeadLetterConfig.Arn).endsWith(`:sluice-schedule-${schedule.name}-dlq`),
        schedule.name,
      );
    }
  });

  on("state machines are the files themselves; placeholders and substitutions are the same set", (check, it) => {
    check.equal(it.all("AWS::StepFunctions::StateMachine").length, it.topology.stateMachines.length, "no other machines");
    for (const machine of it.topology.stateMachines) {
      const { Properties } = it.one("AWS::StepFunctions::StateMachine", "StateMachineName", machine.name);
      const file = readFileSync(join(it.topology.folder, machine.definition), "utf8");
      check.equal(Properties.DefinitionString, file, machine.definition);
      const placeholders = [...new Set([...file.matchAll(/\$\{([^}]+)\}/g)].map((match) => match[1]!))].sort();
      check.equal(Object.keys(Properties.DefinitionSubstitutions).sort(), placeholders, machine.definition);
      check.equal(Properties.StateMachineType, machine.type, machine.name);
      for (const [name, value] of Object.entries(Properties.DefinitionSubstitutions)) {
        const text = it.text(value);
        if (name.endsWith("FunctionArn"))
          check.that(text.endsWith(":live"), `${name} is an alias, so that a redrive runs the mended function`);
        check.that(!/undefined|\[object/.test(text), `${name} is ${text}`);
      }
      check.equal(Properties.TracingConfiguration, { Enabled: true }, machine.name);
      const { IncludeExecutionData, Level } = Properties.LoggingConfiguration;
      check.equal([IncludeExecutionData, Level], [false, machine.type === "EXPRESS" ? "ERROR" : "ALL"], machine.name);
    }
  });

  on("npm's asl-validator accepts every definition", (check, it) => {
    const validate = createRequire(import.meta.url)("asl-validator") as (definition: unknown) => {
      isValid: boolean;
      errorsText?: () => string;
    };
    for (const machine of it.topology.stateMachines) {
      const definition = JSON.parse(readFileSync(join(it.topology.folder, machine.definition), "utf8"));
      const result = validate(definition);
      check.that(result.isValid, `${machine.definition}: ${result.errorsText?.()}`);
      // It must be able to refuse, or it proves nothing.
      const first = Object.keys(definition.States)[0]!;
      check.that(
        !validate({
          ...definition,
          States: { ...definition.States, [first]: { ...definition.States[first], Next: "Nowhere", End: undefined } },
        }).isValid,
        `${machine.definition} with a state that leads nowhere`,
      );
    }
  });

  on(
    "functions: native runtime, alias, architecture, tracing, JSON logs with retention, concurrency where it protects",
    (check, it) => {
      check.equal(it.all("AWS::Lambda::Function").length, it.topology.functions.length, "no helper functions of the CDK");
      for (const fn of it.topology.functions) {
        const resource = it.one("AWS::Lambda::Function", "FunctionName", fn.name);
        const { Properties } = resource;
        check.equal(
          [Properties.Runtime, Properties.Handler, Properties.Architectures, Properties.Timeout, Properties.MemorySize],
          ["provided.al2023", "bootstrap", ["x86_64"], fn.timeoutSeconds, fn.memoryMb],
          fn.name,
        );
        check.equal(
          [Properties.TracingConfig, Properties.LoggingConfig.LogFormat, it.text(Properties.LoggingConfig.LogGroup)],
          [{ Mode: "Active" }, "JSON", `/aws/lambda/${fn.name}`],
          fn.name,
        );
        check.equal(Properties.LoggingConfig.SystemLogLevel, "WARN", `${fn.name}: Lambda's own lines cost more than ours`);
        const limits: Record<string, number> = { Normalize: 200, Reconcile: 1 };
        check.equal(Properties.ReservedConcurrentExecutions, limits[fn.id], fn.name);
        const alias = it.all("AWS::Lambda::Alias").filter((alias) => it.text(alias.Properties.FunctionName) === fn.name);
        check.equal(
          alias.map((alias) => alias.Properties.Name),
          ["live"],
          fn.name,
        );
        const variables = new Set(
          permissionsOf(it.topology, fn)
            .map(variable)
            .filter((name) => name !== undefined),
        );
        check.equal(
          Object.keys(Properties.Environment.Variables).sort(),
          [...variables].sort(),
          `${fn.name} knows the names of what it may touch, and no others`,
        );
      }
    },
  );

  on("each function is given the names that its own settings demand (functions/*/src/config.rs), and no others", (check, it) => {
    for (const fn of it.topology.functions) {
      const config = join(ROOT, "functions", fn.package, "src", "config.rs");
      // A function of the full topology may not be written yet.
      if (!existsSync(config)) continue;
      const names = readFileSync(config, "utf8").matchAll(/lookup,\s*"([A-Z_]+)"/g);
      const demanded = new Set([...names].map((match) => match[1]!).filter((name) => name !== "MAPPER_TRUST_KEYS"));
      check.that(demanded.size > 0, `${config} names its settings`);
      const given = new Set(
        permissionsOf(it.topology, fn)
          .map(variable)
          .filter((name) => name !== undefined),
      );
      check.equal([...given].sort(), [...demanded].sort(), `cdk/lib/permissions.ts and ${fn.package}/src/config.rs`);
    }
  });

  on("every log group has a retention and our key", (check, it) => {
    const groups = it.all("AWS::Logs::LogGroup");
    const { functions, stateMachines, pipes } = it.topology;
    const wanted = functions.length + stateMachines.length + pipes.length + 1;
    check.equal(groups.length, wanted, "functions, machines, pipes, API");
    for (const group of groups) {
      check.equal(group.Properties.RetentionInDays, 30, group.id);
      check.equal(it.text(group.Properties.KmsKeyId), "arn:aws:kms:eu-central-1:111122223333:key/sluice-data", group.id);
    }
    const key = it.all("AWS::KMS::Key").find((key) => key.Properties.EnableKeyRotation)!;
    const logs = statementsOf(key.Properties.KeyPolicy).find((statement) => statement.Sid === "LogsOfSluiceOnly")!;
    const patterns = (logs.Condition!.ArnLike!["kms:EncryptionContext:aws:logs:arn"] as unknown[]).map(
      (value) => new RegExp(`^${it.text(value).replaceAll("*", ".*")}$`),
    );
    for (const group of groups) {
      const arn = `arn:aws:logs:eu-central-1:111122223333:log-group:${group.Properties.LogGroupName}`;
      check.that(
        patterns.some((pattern) => pattern.test(arn)),
        `the key's policy covers ${arn}`,
      );
    }
  });

  on("least privilege: one role each, no wildcard action, no wildcard resource without its reason", (check, it) => {
    const all = grants(it);
    const users = it.resources.filter((resource) =>
      ["AWS::Lambda::Function", "AWS::StepFunctions::StateMachine", "AWS::Pipes::Pipe"].includes(resource.Type),
    );
    const used = users.map((user) => JSON.stringify(user.Properties.Role ?? user.Properties.RoleArn));
    check.equal(new Set(used).size, users.length, "no role is shared");
    for (const grant of all) {
      for (const statement of grant.statements) {
        check.equal(statement.Effect, "Allow", grant.who);
        for (const action of actionsOf(statement)) check.that(!action.includes("*"), `${grant.who}: ${action}`);
        for (const resource of resourcesOf(it, statement)) {
          if (resource === "*")
            check.that(whyAllResources(actionsOf(statement)), `${grant.who}: ${actionsOf(statement)} on * has no reason`);
          else
            check.that(
              /^[^*?]+$|^arn:aws:s3:::[^*?/]+\/\*$|:execution:[^*?/]+(?:\/[A-Za-z*]+)?:\*$|:mapRun:[^*?/]+\/\*$|:log-group:[^*?]+:\*$|\/stream\/<label>$/.test(
                resource,
              ),
              `${grant.who}: ${resource}`,
            );
        }
      }
      const logRole = grant.managed.every(
        (arn) => arn === "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
      );
      check.that(logRole, `${grant.who}: ${grant.managed}`);
    }
  });

  on("people: one policy looks and changes nothing, the other only acts, and both are within IAM's bound", (check, it) => {
    const named = (name: string) =>
      it.all("AWS::IAM::ManagedPolicy").find((policy) => policy.Properties.ManagedPolicyName === name)!;
    for (const [name, looks] of [
      ["SluiceReader", true],
      ["SluiceOperator", false],
    ] as const) {
      const document = named(name).Properties.PolicyDocument as { Statement: Statement[] };
      const actions = statementsOf(document).flatMap(actionsOf);
      const reading =
        /^(dynamodb:(Get|BatchGet|Query|Scan)|s3:(GetObject|ListBucket)|kms:(Decrypt|Describe)|states:(Describe|List|Get)|sqs:(Get|List))/;
      for (const action of actions) check.equal(reading.test(action), looks, `${name}: ${action}`);
      const resources = statementsOf(document).flatMap((statement) => resourcesOf(it, statement));
      check.that(!resources.some((arn) => arn.includes("uploads")), `${name}: bodies that are not accepted yet`);
      // "IAM and AWS STS quotas": a managed policy has 6,144 characters, white space not counted.
      const length = [...actions, ...resources].join('","').length;
      check.that(length < 5_500, `${name} has about ${length} characters`);
    }
    const kept = statementsOf(named("SluiceOperator").Properties.PolicyDocument).flatMap((statement) =>
      resourcesOf(it, statement),
    );
    check.that(!kept.some((arn) => arn.startsWith("arn:aws:s3:::sluice-raw")), "raw requests are written by PersistRaw alone");
  });

  on("each function may do what its row says, and nothing to anyone else's data", (check, it) => {
    for (const fn of it.topology.functions) {
      const grant = grants(it).find((grant) => grant.who === `Function ${fn.name}`)!;
      const found = new Set<string>();
      for (const statement of grant.statements) {
        for (const action of actionsOf(statement)) {
          if (/^(logs|xray|kms):/.test(action)) continue;
          for (const resource of resourcesOf(it, statement)) found.add(`${action} ${resource.split(":").slice(5).join(":")}`);
        }
      }
      const wanted = new Set<string>();
      const bucket = (id: string) => `${it.topology.buckets.find((bucket) => bucket.id === id)!.name}-111122223333-eu-central-1`;
      const named = <T extends { id: string; name: string }>(list: T[], id: string) => list.find((item) => item.id === id)!.name;
      for (const row of permissionsOf(it.topology, fn)) {
        if ("table" in row)
          for (const action of row.actions)
            wanted.add(
              `dynamodb:${action} table/${named(it.topology.tables, row.table)}${row.index ? `/index/${row.index}` : ""}`,
            );
        else if ("bucket" in row)
          for (const action of row.actions)
            wanted.add(`s3:${action} ${bucket(row.bucket)}${action === "ListBucket" ? "" : "/*"}`);
        else if ("queue" in row) wanted.add(`sqs:SendMessage ${named(it.topology.queues, row.queue)}`);
        else if ("machine" in row)
          wanted.add(
            `states:Start${row.sync ? "Sync" : ""}Execution stateMachine:${named(it.topology.stateMachines, row.machine)}`,
          );
        else if ("executions" in row)
          for (const action of row.actions)
            wanted.add(`states:${action} execution:${named(it.topology.stateMachines, row.executions)}:*`);
        else if ("moves" in row) {
          for (const queue of it.topology.queues.filter((queue) => queue.redrive)) {
            wanted.add(`sqs:SendMessage ${queue.name}`);
            for (const action of [
              "StartMessageMoveTask",
              "ListMessageMoveTasks",
              "CancelMessageMoveTask",
              "ReceiveMessage",
              "DeleteMessage",
              "GetQueueAttributes",
            ])
              wanted.add(`sqs:${action} ${named(it.topology.queues, queue.redrive!.queue)}`);
          }
        } else wanted.add("events:PutEvents event-bus/sluice");
      }
      for (const stream of it.topology.streams.filter((stream) => stream.function === fn.id)) {
        const table = named(it.topology.tables, stream.table);
        for (const action of ["DescribeStream", "GetRecords", "GetShardIterator"])
          wanted.add(`dynamodb:${action} table/${table}/stream/<label>`);
        wanted.add("dynamodb:ListStreams ");
        wanted.add(`sqs:SendMessage ${fn.name}-dlq`);
      }
      for (const route of it.topology.routes.filter((route) => route.function === fn.id)) {
        for (const action of ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ChangeMessageVisibility"])
          wanted.add(`sqs:${action} ${named(it.topology.queues, route.queue)}`);
        const redrive = it.topology.queues.find((queue) => queue.id === route.queue)!.redrive!;
        for (const action of ["SendMessage", "GetQueueUrl"])
          wanted.add(`sqs:${action} ${named(it.topology.queues, redrive.queue)}`);
      }
      check.equal([...found].sort(), [...wanted].sort(), fn.name);
    }
  });

  on("what runs mappers cannot change whose an API key is", (check, it) => {
    const grant = grants(it).find((grant) => grant.who === "Function sluice-normalize")!;
    const writes = grant.statements.filter((statement) =>
      actionsOf(statement).some((action) => /^dynamodb:(Put|Update|Delete|BatchWrite)/.test(action)),
    );
    for (const statement of writes.filter((statement) =>
      resourcesOf(it, statement).some((arn) => arn.endsWith("/sluice-vendors")),
    )) {
      check.equal(statement.Condition, { "ForAllValues:StringNotLike": { "dynamodb:LeadingKeys": ["key#*"] } }, "key rows");
    }
    check.that(
      !writes.some((statement) => actionsOf(statement).some((action) => /BatchWrite|Delete/.test(action))),
      "and deletes nothing",
    );
  });

  on("alarms for everything that needs a person, each with what to do and a section of the runbook", (check, it) => {
    const alarms = it.all("AWS::CloudWatch::Alarm");
    const runbook = join(ROOT, "docs", "runbooks", "alarms.md");
    const sections = anchors(readFileSync(runbook, "utf8"));
    for (const alarm of alarms) {
      const { AlarmDescription: description, AlarmActions, OKActions } = alarm.Properties;
      const anchor = /docs\/runbooks\/alarms\.md#([a-z-]+)$/.exec(description)?.[1];
      check.that(anchor && sections.has(anchor), `${alarm.Properties.AlarmName}: ${description}`);
      check.that(description.length <= 1_024, description);
      check.equal([AlarmActions.length, OKActions.length], [1, 1], alarm.Properties.AlarmName);
    }
    const has = (namespace: string, metric: string, dimension: string, value: string) =>
      alarms.some(
        (alarm) =>
          alarm.Properties.Namespace === namespace &&
          alarm.Properties.MetricName === metric &&
          (alarm.Properties.Dimensions ?? []).some(
            (it2: { Name: string; Value: unknown }) => it2.Name === dimension && it.text(it2.Value).split(":").pop() === value,
          ),
      );
    const deadLetterQueues = [
      ...it
        .all("AWS::SQS::Queue")
        .map((queue) => queue.Properties)
        .filter((queue) => !queue.RedrivePolicy),
    ];
    check.that(deadLetterQueues.length > 0, "there are dead-letter queues");
    for (const queue of deadLetterQueues)
      check.that(
        has("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.QueueName),
        `depth of ${queue.QueueName}`,
      );
    for (const machine of it.topology.stateMachines) {
      for (const metric of ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted", "ExecutionThrottled"])
        check.that(has("AWS/States", metric, "StateMachineArn", machine.name), `${metric} of ${machine.name}`);
    }
    for (const stream of it.topology.streams)
      check.that(
        has("AWS/Lambda", "IteratorAge", "FunctionName", it.topology.functions.find((fn) => fn.id === stream.function)!.name),
        "iterator age",
      );
    for (const fn of it.topology.functions)
      check.that(has("AWS/Lambda", "Throttles", "FunctionName", fn.name), `throttles of ${fn.name}`);
    for (const table of it.topology.tables)
      for (const kind of ["Read", "Write"])
        check.that(has("AWS/DynamoDB", `${kind}ThrottleEvents`, "TableName", table.name), `throttles of ${table.name}`);
    for (const metric of ["ledger.oldest_received_age_s", "balance.unaccounted"]) {
      check.that(
        alarms.some(
          (alarm) =>
            alarm.Properties.Namespace === "Sluice" && alarm.Properties.MetricName === metric && !alarm.Properties.Dimensions,
        ),
        metric,
      );
    }
  });

  on("the dashboard shows every metric of ours", (check, it) => {
    const [dashboard] = it.all("AWS::CloudWatch::Dashboard");
    const body = it.text(dashboard!.Properties.DashboardBody);
    check.that(JSON.parse(body).widgets.length > 10, "it is JSON with widgets");
    for (const metric of Object.keys(METRICS))
      check.that(body.includes(`"Sluice","${metric}"`) || body.includes(`MetricName=\\"${metric}\\"`), metric);
  });

  on("the API has every operation of the OpenAPI file but the local ones, answered by intake or upload", (check, it) => {
    const { Properties } = it.all("AWS::ApiGateway::RestApi")[0]!;
    const file = parse(readFileSync(join(ROOT, "schemas", "openapi.yaml"), "utf8"));
    const wanted: string[] = [];
    for (const [path, item] of Object.entries(
      file.paths as Record<string, Record<string, { tags?: string[]; security?: object[]; responses?: object }>>,
    )) {
      for (const [method, operation] of Object.entries(item)) {
        if (operation.tags?.includes("local")) continue;
        wanted.push(`${method} ${path}`);
        const found = Properties.Body.paths[path][method];
        const needsKey = !/^\/v1\/(sources|uploads)\//.test(path);
        check.equal(found.security, needsKey ? [{ apiKey: [] }] : undefined, `${method} ${path}: the key`);
        const integration = found["x-amazon-apigateway-integration"];
        check.equal(
          [integration.type, integration.passthroughBehavior, integration.contentHandling],
          ["aws", "never", "CONVERT_TO_TEXT"],
          path,
        );
        const answers = path.startsWith("/v1/uploads/")
          ? /:lambda:path\/2015-03-31\/functions\/.*sluice-upload:live\/invocations$/
          : /:states:action\/StartSyncExecution$/;
        check.that(answers.test(it.text(integration.uri)), `${path}: ${it.text(integration.uri)}`);
        for (const status of Object.keys(operation.responses ?? {}))
          check.that(found.responses[status], `${method} ${path} declares ${status}`);
        for (const response of Object.values(integration.responses) as { statusCode: string; contentHandling: string }[]) {
          check.equal(response.contentHandling, "CONVERT_TO_TEXT", "or an Accept header would have the answer decoded as base64");
          check.that(found.responses[response.statusCode], `${response.statusCode} is declared`);
        }
        check.equal(
          Object.keys(integration.requestTemplates).sort(),
          Properties.Body["x-amazon-apigateway-binary-media-types"],
          path,
        );
      }
    }
    const found = Object.entries(Properties.Body.paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((method) => !method.startsWith("x-"))
        .map((method) => `${method} ${path}`),
    );
    check.equal(found.sort(), wanted.sort(), "operations");
    check.that(
      !Properties.Body["x-amazon-apigateway-binary-media-types"].some((type: string) => type.includes("*")),
      "a list, not */*",
    );
    check.equal(Properties.MinimumCompressionSize, undefined, "a gzip body is passed on as sent");
    const role = grants(it).find((grant) => grant.who === "API Gateway: starts intake, itself or by the function upload")!;
    check.equal(
      role.statements.map((statement) => [actionsOf(statement), resourcesOf(it, statement)]),
      [
        [["states:StartSyncExecution"], ["arn:aws:states:eu-central-1:111122223333:stateMachine:sluice-intake"]],
        [["lambda:InvokeFunction"], ["arn:aws:lambda:eu-central-1:111122223333:function:sluice-upload:live"]],
      ],
      "its role",
    );
  });

  on("what API Gateway answers by itself is a problem document of the contract; no 5xx but 503", (check, it) => {
    const responses = it.all("AWS::ApiGateway::RestApi")[0]!.Properties.Body["x-amazon-apigateway-gateway-responses"] as Record<
      string,
      { statusCode: string; responseParameters: Record<string, string>; responseTemplates: Record<string, string> }
    >;
    const document = parse(readFileSync(join(ROOT, "schemas", "openapi.yaml"), "utf8"));
    const types = document.components.schemas.Problem.properties.type.enum as string[];
    const wanted: Record<string, number> = {
      DEFAULT_5XX: 503,
      INTEGRATION_FAILURE: 503,
      INTEGRATION_TIMEOUT: 503,
      API_CONFIGURATION_ERROR: 503,
      INVALID_API_KEY: 401,
      MISSING_AUTHENTICATION_TOKEN: 404,
      RESOURCE_NOT_FOUND: 404,
      REQUEST_TOO_LARGE: 413,
      UNSUPPORTED_MEDIA_TYPE: 415,
      THROTTLED: 429,
      QUOTA_EXCEEDED: 429,
    };
    for (const [type, status] of Object.entries(wanted)) check.equal(responses[type]?.statusCode, String(status), type);
    for (const [type, response] of Object.entries(responses)) {
      const problem = JSON.parse(response.responseTemplates["application/json"]!);
      check.equal(Object.keys(problem).sort(), ["detail", "status", "title", "type"], type);
      check.equal(String(problem.status), response.statusCode, type);
      check.that(types.includes(problem.type), `${type}: ${problem.type}`);
      check.equal(response.responseParameters["gatewayresponse.header.Content-Type"], "'application/problem+json'", type);
      check.equal(
        response.responseParameters["gatewayresponse.header.Retry-After"],
        ["429", "503"].includes(response.statusCode) ? "'1'" : undefined,
        type,
      );
    }
  });

  on("the stage is traced, throttled and logged without data", (check, it) => {
    const { Properties } = it.all("AWS::ApiGateway::Stage")[0]!;
    check.equal(Properties.TracingEnabled, true, "X-Ray");
    const [settings] = Properties.MethodSettings;
    check.equal(
      [
        settings.DataTraceEnabled,
        settings.LoggingLevel,
        settings.MetricsEnabled,
        settings.ThrottlingRateLimit,
        settings.ThrottlingBurstLimit,
      ],
      [false, "ERROR", true, 5_000, 5_000],
      "settings of every method",
    );
    const format = JSON.parse(Properties.AccessLogSetting.Format);
    check.equal(format.requestId, "$context.requestId", "JSON access log");
    check.that(
      !/header|body|apiKey\b/.test(Properties.AccessLogSetting.Format.replace("apiKeyId", "")),
      "and nothing of the contents",
    );
    check.equal(it.all("AWS::WAFv2::WebACL").length, 0, "no firewall unless asked for");
  });
}

/** `docs/iam.md`; `SLUICE_BLESS=1` writes it. */
export function iamDocumentTest(synthesized: () => Synthesized): void {
  test("docs/iam.md is what the templates say", (check) => {
    const it = synthesized();
    const found = iamTable(grants(it), resourcePolicies(it), (value) => it.text(value));
    const path = join(ROOT, "docs", "iam.md");
    if (process.env.SLUICE_BLESS === "1") writeFileSync(path, found);
    const held = existsSync(path) ? readFileSync(path, "utf8") : "";
    check.that(held === found, "docs/iam.md is stale: run `SLUICE_BLESS=1 npm test` in cdk/");
    check.that(!found.includes("no reason is known"), "every * has a reason");
  });
}
