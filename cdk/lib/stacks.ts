// Two stacks: what must survive, and what can be made anew.

import { Annotations, CfnOutput, Stack, type StackProps, Tags } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { Api } from "./api.ts";
import { Mappers } from "./mappers.ts";
import { Messaging } from "./messaging.ts";
import { Observability } from "./observability.ts";
import { People } from "./people.ts";
import { Processing } from "./processing.ts";
import { Queues } from "./queues.ts";
import type { Settings } from "./settings.ts";
import { Storage } from "./storage.ts";
import { readTopology, type TopologyFile } from "./topology.ts";

/** Buckets, tables, queues and keys. */
export class StatefulStack extends Stack {
  readonly storage: Storage;
  readonly queues: Queues;
  readonly mappers: Mappers;

  constructor(scope: Construct, topology: TopologyFile, settings: Settings, props: StackProps) {
    super(scope, "sluice-stateful", {
      description: "Sluice: what must not be lost (buckets, tables, queues, keys)",
      terminationProtection: settings.protect,
      ...props,
    });
    this.storage = new Storage(this, topology, settings);
    this.queues = new Queues(this, topology, settings);
    this.mappers = new Mappers(this, this.storage, settings);
    new CfnOutput(this, "SigningKeyId", {
      value: this.mappers.signingKey.keyId,
      description: "aws kms get-public-key, sluice mapper publish",
    });
    for (const [id, bucket] of this.storage.buckets) new CfnOutput(this, `${id}BucketName`, { value: bucket.bucketName });
  }
}

/** Functions, machines, rules, the API, alarms. */
export class StatelessStack extends Stack {
  readonly processing: Processing;
  readonly api: Api;

  constructor(scope: Construct, topology: TopologyFile, settings: Settings, stateful: StatefulStack, props: StackProps) {
    super(scope, "sluice", { description: "Sluice: functions, state machines, routing, the API, alarms", ...props });
    const { storage, queues } = stateful;
    this.processing = new Processing(this, { topology, settings, storage, queues });
    new Messaging(this, topology, this.processing, queues);
    this.api = new Api(this, topology, settings, this.processing, storage);
    new Observability(this, topology, settings, { processing: this.processing, queues, storage, api: this.api });
    new People(this, topology, { processing: this.processing, queues, storage });
    new CfnOutput(this, "ApiUrl", { value: this.api.url, description: "SLUICE_API of the command line" });
    if (this.api.domainTarget)
      new CfnOutput(this, "DomainTarget", {
        value: this.api.domainTarget,
        description: "Where the domain's DNS record must point",
      });
    if (settings.artefacts === "placeholder")
      Annotations.of(this).addWarningV2(
        "sluice:placeholder",
        "The functions are placeholders that do nothing: for tests of the templates only.",
      );
    if (settings.artefacts === "packages" && !settings.mapperTrustKeys) {
      Annotations.of(this).addWarningV2(
        "sluice:mapperTrustKeys",
        "No key is trusted for mapper bundles: set mapperTrustKeys (docs/runbooks/deploy.md).",
      );
    }
  }
}

export function sluice(
  scope: Construct,
  settings: Settings,
  props: StackProps = {},
): { stateful: StatefulStack; stateless: StatelessStack } {
  const topology = readTopology(settings.topology);
  const stateful = new StatefulStack(scope, topology, settings, props);
  const stateless = new StatelessStack(scope, topology, settings, stateful, props);
  stateless.addStackDependency(stateful);
  Tags.of(scope).add("application", "sluice");
  return { stateful, stateless };
}
