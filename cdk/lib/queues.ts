// The queues of the topology. They hold references, never payloads; SQS encrypts them with a key of its own.

import { Duration, RemovalPolicy } from "aws-cdk-lib";
import * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { acknowledge } from "./nag.ts";
import type { Settings } from "./settings.ts";
import type { Queue, TopologyFile } from "./topology.ts";

export class Queues extends Construct {
  private readonly made = new Map<string, sqs.Queue>();

  constructor(
    scope: Construct,
    private readonly topology: TopologyFile,
    private readonly settings: Settings,
  ) {
    super(scope, "Queues");
    for (const queue of topology.queues) this.queue(queue, []);
  }

  get(id: string): sqs.Queue {
    return this.made.get(id)!;
  }

  /** Dead-letter queues first, since a redrive policy names one. */
  private queue(queue: Queue, from: string[]): sqs.Queue {
    const held = this.made.get(queue.id);
    if (held) return held;
    if (from.includes(queue.id)) throw new Error(`topology.json: the redrive policies of ${from.join(", ")} go in a circle`);
    const redrive = queue.redrive;
    const deadLetterQueue = redrive && {
      queue: this.queue(this.topology.queues.find((it) => it.id === redrive.queue)!, [...from, queue.id]),
      maxReceiveCount: redrive.maxReceiveCount,
    };
    const resource = new sqs.Queue(this, queue.id, {
      queueName: queue.name,
      visibilityTimeout: Duration.seconds(queue.visibilityTimeoutSeconds),
      retentionPeriod: Duration.seconds(queue.messageRetentionSeconds),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      removalPolicy: this.settings.protect ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      ...(deadLetterQueue ? { deadLetterQueue } : {}),
    });
    if (!deadLetterQueue)
      acknowledge(
        resource,
        "AwsSolutions-SQS3",
        "It is a dead-letter queue itself: no redrive policy names another, and an alarm watches its depth.",
      );
    this.made.set(queue.id, resource);
    return resource;
  }
}
