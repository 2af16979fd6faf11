// Alarms and the dashboard. An alarm says what it means and what to do, and names its section of docs/runbooks/alarms.md.

import { Duration, Stack } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Api } from "./api.ts";
import type { Processing } from "./processing.ts";
import type { Queues } from "./queues.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { kebab, type TopologyFile } from "./topology.ts";

/** Namespace of what the functions emit in the embedded metric format. */
export const NAMESPACE = "Sluice";

/** Metrics of F2 and G2 with their one dimension, if they have one. */
export const METRICS = {
  "ingest.accepted": undefined,
  "ingest.duplicate": undefined,
  "ingest.failed_validation": "reason",
  "normalize.success": undefined,
  "normalize.nothing": undefined,
  "normalize.failed": "reason",
  "pipeline.latency_ms": "stage",
  "ledger.oldest_received_age_s": undefined,
  "balance.unaccounted": undefined,
} as const;

interface AlarmSpec {
  /** Also the anchor in docs/runbooks/alarms.md, up to the first `/`. */
  name: string;
  what: string;
  todo: string;
  metric: cloudwatch.IMetric;
  threshold: number;
  comparison?: cloudwatch.ComparisonOperator;
  periods?: number;
  missing?: cloudwatch.TreatMissingData;
}

const MINUTES = { period: Duration.minutes(5) };
const SUM = { ...MINUTES, statistic: "Sum" };
const MAX = { ...MINUTES, statistic: "Maximum" };

export class Observability extends Construct {
  private readonly topic: sns.Topic;

  constructor(
    scope: Construct,
    private readonly topology: TopologyFile,
    private readonly settings: Settings,
    private readonly parts: { processing: Processing; queues: Queues; storage: Storage; api: Api },
  ) {
    super(scope, "Observability");
    this.topic = new sns.Topic(this, "Alarms", {
      topicName: "sluice-alarms",
      displayName: "Sluice alarms",
      masterKey: parts.storage.key,
      enforceSSL: true,
    });
    if (settings.alarmEmail) this.topic.addSubscription(new EmailSubscription(settings.alarmEmail));
    this.deadLetters();
    this.executions();
    this.lag();
    this.throttles();
    this.faults();
    this.dashboard();
  }

  private own(metricName: keyof typeof METRICS, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({ namespace: NAMESPACE, metricName, ...options });
  }

  private alarm(spec: AlarmSpec): void {
    const section = spec.name.split("/")[0]!;
    const runbook = `${this.settings.runbookBase ?? "docs/runbooks"}/alarms.md#${section}`;
    const alarm = new cloudwatch.Alarm(this, spec.name.replaceAll("/", "-"), {
      alarmName: `sluice-${spec.name.replaceAll("/", "-")}`,
      alarmDescription: `${spec.what} ${spec.todo} Runbook: ${runbook}`,
      metric: spec.metric,
      threshold: spec.threshold,
      evaluationPeriods: spec.periods ?? 1,
      comparisonOperator: spec.comparison ?? cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: spec.missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
  }

  private deadLetters(): void {
    const { topology, parts } = this;
    const targets = new Set(topology.queues.flatMap((it) => (it.redrive ? [it.redrive.queue] : [])));
    const depth = (queue: sqs.IQueue) => queue.metricApproximateNumberOfMessagesVisible(MAX);
    for (const queue of topology.queues) {
      const isDeadLetterQueue = targets.has(queue.id) || !queue.redrive;
      if (isDeadLetterQueue) {
        this.alarm({
          name: `dead-letters/${kebab(queue.id)}`,
          what: `${queue.name} holds messages: events that could not be processed wait for a person.`,
          todo: "Look at the causes with `sluice quarantine ls`, mend them, then `sluice redrive`.",
          metric: depth(parts.queues.get(queue.id)),
          threshold: 1,
        });
      } else {
        this.alarm({
          name: `queue-age/${kebab(queue.id)}`,
          what: `The oldest message of ${queue.name} is more than 15 minutes old: its handler does not keep up, or fails.`,
          todo: "Look at the handler's errors and throttles.",
          metric: parts.queues.get(queue.id).metricApproximateAgeOfOldestMessage(MAX),
          threshold: 900,
        });
      }
    }
    for (const [name, queue] of parts.processing.deadLetters) {
      this.alarm({
        name: `undelivered/${name}`,
        what: `${name} holds messages: a trigger gave up delivering.`,
        todo: "Nothing is lost: the ledger has the event. Mend what refused delivery, then move the messages back or let Reconcile find the rows.",
        metric: depth(queue),
        threshold: 1,
      });
    }
  }

  private executions(): void {
    for (const machine of this.topology.stateMachines) {
      const id = kebab(machine.id);
      const metric = (name: string) => this.parts.processing.machines.get(machine.id)!.metric(name, SUM);
      const recover = machine.id === "Recover";
      this.alarm({
        name: `executions-failed/${id}`,
        what: recover
          ? "20 or more events went to quarantine within 5 minutes: probably one cause, such as a vendor that changed its schema or a mapper that was just promoted."
          : `Executions of ${machine.name} failed.`,
        todo: recover
          ? "See `sluice quarantine ls`; roll the mapper back if it is new."
          : "See the function's log for its ingestId and its error's name and code.",
        metric: metric("ExecutionsFailed"),
        threshold: recover ? 20 : 1,
      });
      this.alarm({
        name: `executions-timed-out/${id}`,
        what: `Executions of ${machine.name} ran into their time limit.`,
        todo: "A dependency hangs or a function is throttled: see the traces.",
        metric: metric("ExecutionsTimedOut"),
        threshold: 1,
      });
      this.alarm({
        name: `executions-aborted/${id}`,
        what: `Executions of ${machine.name} were stopped by someone.`,
        todo: "Find out who in CloudTrail (StopExecution); the event's row says what state it was left in.",
        metric: metric("ExecutionsAborted"),
        threshold: 1,
      });
    }
  }

  private lag(): void {
    for (const stream of this.topology.streams) {
      this.alarm({
        name: `iterator-age/${kebab(stream.function)}`,
        what: `${stream.function} is more than 60 s behind the stream of ${stream.table}: accepted events are not told to the bus. Records live 24 hours.`,
        todo: "Look at its errors: a record that fails blocks its shard.",
        metric: this.parts.processing.functions.get(stream.function)!.metric("IteratorAge", MAX),
        threshold: 60_000,
      });
    }
    for (const pipe of this.topology.pipes) {
      const { name } = this.topology.queues.find((it) => it.id === pipe.queue)!;
      const metric = (metricName: string) =>
        new cloudwatch.Metric({ namespace: "AWS/EventBridge/Pipes", metricName, dimensionsMap: { PipeName: name }, ...SUM });
      this.alarm({
        name: `pipe-failures/${kebab(pipe.queue)}`,
        what: `Batches of the pipe ${name} failed, wholly or in part, for 15 minutes: their messages come again and again.`,
        // SQS leaves messages that were received more than three times out of the age of the oldest.
        todo: "A dependency fails, a function is throttled, or one event crashes its function: see the function's log.",
        metric: new cloudwatch.MathExpression({
          expression: "FILL(failed, 0) + FILL(partly, 0)",
          label: `failed batches of ${name}`,
          usingMetrics: { failed: metric("ExecutionFailed"), partly: metric("ExecutionPartiallyFailed") },
          ...MINUTES,
        }),
        threshold: 1,
        periods: 3,
      });
    }
    this.alarm({
      name: "oldest-received",
      what: "An event has been RECEIVED for more than 15 minutes and is neither normalized nor quarantined.",
      todo: "Check the relay, the rule, the queue sluice-normalize and its pipe in this order; Reconcile runs it again by itself.",
      metric: this.own("ledger.oldest_received_age_s", MAX),
      threshold: 900,
    });
    this.alarm({
      name: "unaccounted",
      what: "The balance does not add up: accepted is not normalized + nothing to state + quarantined + in flight.",
      todo: "Run `sluice balance` and `sluice audit`: they name the events that are not accounted for.",
      metric: this.own("balance.unaccounted", MAX),
      threshold: 1,
      // Two runs of Reconcile: the index that it counts is eventually consistent.
      periods: 2,
    });
  }

  private throttles(): void {
    for (const fn of this.topology.functions) {
      this.alarm({
        name: `throttles/function-${kebab(fn.id)}`,
        what: `Invocations of ${fn.name} were throttled for 15 minutes.`,
        todo: "Raise its reserved concurrency, or the account's limit.",
        metric: this.parts.processing.functions.get(fn.id)!.metricThrottles(SUM),
        threshold: 1,
        periods: 3,
      });
    }
    for (const machine of this.topology.stateMachines) {
      this.alarm({
        name: `throttles/machine-${kebab(machine.id)}`,
        what: `State transitions of ${machine.name} were throttled for 15 minutes.`,
        todo: "Ask AWS for a higher quota of Step Functions.",
        metric: this.parts.processing.machines.get(machine.id)!.metricThrottled(SUM),
        threshold: 1,
        periods: 3,
      });
    }
    for (const table of this.topology.tables) {
      for (const kind of ["Read", "Write"]) {
        this.alarm({
          name: `throttles/table-${kebab(table.id)}-${kind.toLowerCase()}s`,
          what: `${kind}s of ${table.name} were throttled for 15 minutes: more than it is warm for, or one key is hot.`,
          todo: "Raise `warmThroughput`; for one hot key, slow its vendor down.",
          metric: new cloudwatch.Metric({
            namespace: "AWS/DynamoDB",
            metricName: `${kind}ThrottleEvents`,
            dimensionsMap: { TableName: table.name },
            ...SUM,
          }),
          threshold: 1,
          periods: 3,
        });
      }
    }
  }

  private faults(): void {
    const { api } = this.parts;
    this.alarm({
      name: "api-faults",
      what: "More than 1 % of the requests of 5 minutes were answered with 5xx. Vendors send them again; none was lost.",
      todo: "See the access log for errorType and integrationStatus, then the intake machine.",
      // The average of a metric that is 0 or 1 for each request.
      metric: new cloudwatch.Metric({
        namespace: "AWS/ApiGateway",
        metricName: "5XXError",
        dimensionsMap: { ApiName: "sluice", Stage: api.stageName },
        ...MINUTES,
        statistic: "Average",
      }),
      threshold: 0.01,
      comparison: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    });
    for (const fn of this.topology.functions) {
      // Quarantined events are errors of Normalize, too; what matters of them is alarmed as `executions-failed/recover`.
      if (fn.id === "Normalize") continue;
      this.alarm({
        name: `function-errors/${kebab(fn.id)}`,
        what: `${fn.name} failed in three periods of 5 minutes in a row.`,
        todo: "See its log: error name, code, and what it was about.",
        metric: this.parts.processing.functions.get(fn.id)!.metricErrors(SUM),
        threshold: 1,
        periods: 3,
      });
    }
  }

  private dashboard(): void {
    const { processing, queues, api } = this.parts;
    const graph = (title: string, left: cloudwatch.IMetric[], width = 8) =>
      new cloudwatch.GraphWidget({ title, left, width, height: 6, liveData: false });
    const search = (metric: keyof typeof METRICS, statistic: string) =>
      new cloudwatch.MathExpression({
        expression: `SEARCH('{${NAMESPACE},${METRICS[metric]}} MetricName="${metric}"', '${statistic}', 300)`,
        label: "",
        usingMetrics: {},
        ...MINUTES,
      });
    const gateway = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: "AWS/ApiGateway",
        metricName,
        dimensionsMap: { ApiName: "sluice", Stage: api.stageName },
        ...MINUTES,
        statistic,
      });
    const dashboard = new cloudwatch.Dashboard(this, "Dashboard", {
      dashboardName: "sluice",
      defaultInterval: Duration.hours(3),
    });
    dashboard.addWidgets(
      new cloudwatch.TextWidget({
        markdown: `# Sluice\nvendor → intake → ledger → relay → normalize → routes. Runbooks: ${this.settings.runbookBase ?? "docs/runbooks/"}. Region ${Stack.of(this).region}, account ${Stack.of(this).account}.`,
        width: 24,
        height: 2,
      }),
    );
    dashboard.addWidgets(
      graph("Accepted, duplicates", [this.own("ingest.accepted", SUM), this.own("ingest.duplicate", SUM)]),
      graph("Refused, by reason", [search("ingest.failed_validation", "Sum")]),
      graph("Answers", [gateway("Count", "Sum"), gateway("4XXError", "Sum"), gateway("5XXError", "Sum")]),
    );
    dashboard.addWidgets(
      graph("Normalized; nothing to state", [this.own("normalize.success", SUM), this.own("normalize.nothing", SUM)]),
      graph("Not normalized, by reason", [search("normalize.failed", "Sum")]),
      graph("Unaccounted; age of the oldest RECEIVED", [
        this.own("balance.unaccounted", MAX),
        this.own("ledger.oldest_received_age_s", MAX),
      ]),
    );
    dashboard.addWidgets(
      graph("Latency by stage, p95", [search("pipeline.latency_ms", "p95")]),
      graph("Latency at the API, p50 and p95", [gateway("Latency", "p50"), gateway("Latency", "p95")]),
      graph(
        "Behind the stream",
        this.topology.streams.map((it) => processing.functions.get(it.function)!.metric("IteratorAge", MAX)),
      ),
    );
    dashboard.addWidgets(
      graph(
        "Executions failed",
        [...processing.machines.values()].map((it) => it.metricFailed(SUM)),
      ),
      graph(
        "Messages waiting",
        this.topology.queues.map((it) => queues.get(it.id).metricApproximateNumberOfMessagesVisible(MAX)),
      ),
      graph(
        "Undelivered",
        [...processing.deadLetters.values()].map((it) => it.metricApproximateNumberOfMessagesVisible(MAX)),
      ),
    );
    dashboard.addWidgets(
      graph(
        "Concurrent invocations",
        [...processing.functions.values()].map((it) => it.metric("ConcurrentExecutions", MAX)),
        12,
      ),
      graph(
        "Duration, p95",
        [...processing.functions.values()].map((it) => it.metricDuration({ ...MINUTES, statistic: "p95" })),
        12,
      ),
    );
  }
}
