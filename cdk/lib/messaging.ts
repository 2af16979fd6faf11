// The rules on the bus: from an event to a state machine or a queue. Each has a role or a queue policy of its own, and a
// dead-letter queue, without which EventBridge drops what it could not deliver for a day.

import { Duration, Stack } from "aws-cdk-lib";
import * as events from "aws-cdk-lib/aws-events";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { dependOn, type Processing } from "./processing.ts";
import type { Queues } from "./queues.ts";
import { find, routePattern, type TopologyFile } from "./topology.ts";

/** EventBridge's own limits, stated. */
const RETRY = { maximumEventAgeInSeconds: Duration.hours(24).toSeconds(), maximumRetryAttempts: 185 };

export class Messaging extends Construct {
  constructor(
    scope: Construct,
    private readonly topology: TopologyFile,
    private readonly processing: Processing,
    private readonly queues: Queues,
  ) {
    super(scope, "Messaging");
    for (const rule of topology.rules) {
      const input = rule.target.inputPath;
      const target = rule.target.stateMachine ? { machine: rule.target.stateMachine } : { queue: rule.target.queue! };
      this.rule(rule.name, rule.pattern, target, input && input !== "$" ? input : undefined);
    }
    for (const route of topology.routes) {
      this.rule(`route-${route.id}`, routePattern(topology, route), { queue: route.queue }, undefined);
    }
  }

  private rule(
    name: string,
    pattern: Record<string, unknown>,
    to: { machine: string } | { queue: string },
    inputPath: string | undefined,
  ): void {
    const { account } = Stack.of(this);
    const ruleArn = Stack.of(this).formatArn({
      service: "events",
      resource: "rule",
      resourceName: `${this.topology.bus.name}/${name}`,
    });
    const deadLetters = this.processing.deadLetterQueue(`Rule-${name}`, `sluice-rule-${name}-dlq`);
    this.allowDelivery(deadLetters, `DeadLettersOf-${name}`, ruleArn);

    let arn: string;
    let roleArn: string | undefined;
    const rule = new events.CfnRule(this, `Rule-${name}`, {
      name,
      eventBusName: this.processing.bus.eventBusName,
      eventPattern: pattern,
    });
    if ("machine" in to) {
      const machine = find(this.topology.stateMachines, to.machine, "state machine", `rule ${name}`);
      arn = this.processing.machineArn(machine);
      const role = new iam.Role(this, `Rule-${name}Role`, {
        description: `Rule ${name}`,
        assumedBy: new iam.ServicePrincipal("events.amazonaws.com", {
          conditions: { StringEquals: { "aws:SourceAccount": account }, ArnEquals: { "aws:SourceArn": ruleArn } },
        }),
      });
      role.addToPolicy(new iam.PolicyStatement({ sid: "Start", actions: ["states:StartExecution"], resources: [arn] }));
      roleArn = role.roleArn;
      dependOn(rule, role);
      rule.node.addDependency(this.processing.machines.get(to.machine)!);
    } else {
      const queue = this.queues.get(to.queue);
      arn = queue.queueArn;
      this.allowDelivery(queue, `EventsOf-${name}`, ruleArn);
    }
    rule.targets = [
      {
        id: "Target",
        arn,
        ...(roleArn ? { roleArn } : {}),
        ...(inputPath ? { inputPath } : {}),
        retryPolicy: RETRY,
        deadLetterConfig: { arn: deadLetters.queueArn },
      },
    ];
  }

  private allowDelivery(queue: sqs.Queue, sid: string, ruleArn: string): void {
    queue.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: sid.replace(/[^A-Za-z0-9]/g, ""),
        principals: [new iam.ServicePrincipal("events.amazonaws.com")],
        actions: ["sqs:SendMessage"],
        resources: [queue.queueArn],
        conditions: { ArnEquals: { "aws:SourceArn": ruleArn } },
      }),
    );
  }
}
