// The key that bundles are signed with. Its private half never leaves KMS; whoever may sign decides what code `normalize` runs.

import { RemovalPolicy } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import { Construct } from "constructs";
import { acknowledgeWildcard } from "./nag.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";

export class Mappers extends Construct {
  readonly signingKey: kms.Key;
  /** What a person or a pipeline needs to publish; attached to no one here. */
  readonly publisher: iam.ManagedPolicy;

  constructor(scope: Construct, storage: Storage, settings: Settings) {
    super(scope, "Mappers");
    this.signingKey = new kms.Key(this, "SigningKey", {
      alias: "sluice-mappers",
      description: "Sluice: signs the manifests of mapper bundles",
      keySpec: kms.KeySpec.ECC_NIST_P256,
      keyUsage: kms.KeyUsage.SIGN_VERIFY,
      removalPolicy: settings.protect ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    this.publisher = new iam.ManagedPolicy(this, "Publisher", {
      managedPolicyName: "sluice-mapper-publisher",
      description: "Publish and activate mappers: sign a manifest, store a bundle, write its pointer",
      statements: [
        new iam.PolicyStatement({
          sid: "Sign",
          actions: ["kms:Sign", "kms:GetPublicKey", "kms:DescribeKey"],
          resources: [this.signingKey.keyArn],
        }),
        new iam.PolicyStatement({
          sid: "StoreBundles",
          actions: ["s3:GetObject", "s3:PutObject"],
          resources: [storage.objectsArn("Mappers")],
        }),
        new iam.PolicyStatement({ sid: "FindBundles", actions: ["s3:ListBucket"], resources: [storage.bucketArn("Mappers")] }),
        new iam.PolicyStatement({
          sid: "WritePointers",
          actions: ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "dynamodb:Scan"],
          resources: [storage.tableArn("Vendors")],
        }),
        new iam.PolicyStatement({
          sid: "UseTheDataKey",
          actions: ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
          resources: [storage.key.keyArn],
        }),
      ],
    });
    acknowledgeWildcard(this.publisher, storage.objectsArn("Mappers"), "Objects of one bucket, whose keys are digests.");
  }
}
