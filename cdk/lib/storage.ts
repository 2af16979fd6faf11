// What must not be lost: the key, the buckets and the tables. Everything here is retained when the stack goes.

import { ArnFormat, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kms from "aws-cdk-lib/aws-kms";
import * as s3 from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { acknowledge } from "./nag.ts";
import type { Settings } from "./settings.ts";
import { type Bucket, find, type Table, type TopologyFile } from "./topology.ts";

/** DynamoDB's own values for a new table on demand: stated, so that they are seen. */
const WARM = { reads: 12_000, writes: 4_000 };

export class Storage extends Construct {
  readonly key: kms.Key;
  readonly buckets = new Map<string, s3.Bucket>();
  readonly tables = new Map<string, dynamodb.Table>();
  private readonly removalPolicy: RemovalPolicy;

  constructor(
    scope: Construct,
    private readonly topology: TopologyFile,
    private readonly settings: Settings,
  ) {
    super(scope, "Storage");
    this.removalPolicy = settings.protect ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    this.key = this.dataKey();
    const accessLogs = this.accessLogsBucket();
    for (const bucket of topology.buckets) this.buckets.set(bucket.id, this.bucket(bucket, accessLogs));
    for (const table of topology.tables) this.tables.set(table.id, this.table(table));
  }

  /** One key for objects, rows, logs and alarms. What may be decrypted is said in the policies of those who read. */
  private dataKey(): kms.Key {
    const key = new kms.Key(this, "DataKey", {
      alias: "sluice-data",
      description: "Sluice: objects, rows, logs, alarms",
      enableKeyRotation: true,
      removalPolicy: this.removalPolicy,
    });
    const { partition, region, account } = Stack.of(this);
    const services: [string, string, string[], Record<string, unknown>][] = [
      [
        "LogsOfSluiceOnly",
        `logs.${region}.amazonaws.com`,
        ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"],
        {
          ArnLike: {
            "kms:EncryptionContext:aws:logs:arn": ["/aws/lambda/sluice-*", "/aws/vendedlogs/sluice/*", "aws-waf-logs-sluice"].map(
              (name) => `arn:${partition}:logs:${region}:${account}:log-group:${name}`,
            ),
          },
        },
      ],
      [
        "AlarmsOfThisAccountOnly",
        "cloudwatch.amazonaws.com",
        ["kms:Decrypt", "kms:GenerateDataKey"],
        { StringEquals: { "aws:SourceAccount": account } },
      ],
    ];
    for (const [sid, service, actions, conditions] of services) {
      key.addToResourcePolicy(
        new iam.PolicyStatement({ sid, principals: [new iam.ServicePrincipal(service)], actions, resources: ["*"], conditions }),
      );
    }
    return key;
  }

  private bucketName(name: string): string {
    const { account, region } = Stack.of(this);
    const suffix = this.settings.bucketSuffix ?? `${account}-${region}`;
    return suffix === "" ? name : `${name}-${suffix}`;
  }

  private accessLogsBucket(): s3.Bucket {
    const bucket = new s3.Bucket(this, "AccessLogs", {
      bucketName: this.bucketName("sluice-access-logs"),
      // Log delivery does not write to a bucket that is encrypted with a key of one's own.
      encryption: s3.BucketEncryption.S3_MANAGED,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      versioned: true,
      lifecycleRules: [
        {
          expiration: Duration.days(90),
          noncurrentVersionExpiration: Duration.days(7),
          abortIncompleteMultipartUploadAfter: Duration.days(1),
        },
      ],
      removalPolicy: this.removalPolicy,
    });
    const reason = "It is the bucket of access logs: logging its own writes would never end.";
    acknowledge(bucket, "AwsSolutions-S1", reason);
    (bucket.node.defaultChild as s3.CfnBucket).addMetadata("checkov", { skip: [{ id: "CKV_AWS_18", comment: reason }] });
    return bucket;
  }

  private bucket(bucket: Bucket, accessLogs: s3.Bucket): s3.Bucket {
    const { settings } = this;
    const raw = bucket.id === "Raw";
    const resource = new s3.Bucket(this, bucket.id, {
      bucketName: this.bucketName(bucket.name),
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      versioned: true,
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: `${bucket.name}/`,
      removalPolicy: this.removalPolicy,
      objectLockEnabled: raw,
      ...(raw && settings.protect ? { objectLockDefaultRetention: this.retention() } : {}),
      lifecycleRules: [
        { id: "abandoned-uploads", abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // A replay writes the same bytes again: earlier versions are worth little, for a while.
        ...(bucket.expireDays ? [{ id: "expired", expiration: Duration.days(bucket.expireDays) }] : []),
        ...(bucket.writeOnce
          ? []
          : [{ id: "earlier-versions", noncurrentVersionExpiration: Duration.days(bucket.expireDays ?? 30) }]),
      ],
    });
    if (bucket.writeOnce) this.writeOnce(resource);
    return resource;
  }

  private retention(): s3.ObjectLockRetention {
    const days = Duration.days(this.settings.rawRetentionDays);
    return this.settings.objectLockMode === "COMPLIANCE"
      ? s3.ObjectLockRetention.compliance(days)
      : s3.ObjectLockRetention.governance(days);
  }

  /** The policy that makes the promise hold for every principal, an administrator included, until the policy itself is changed. */
  private writeOnce(bucket: s3.Bucket): void {
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: "ObjectsAreCreatedOnce",
        effect: iam.Effect.DENY,
        principals: [new iam.AnyPrincipal()],
        actions: ["s3:PutObject"],
        resources: [bucket.arnForObjects("*")],
        // "Enforce conditional writes on Amazon S3 buckets", AWS: the parts of a multipart upload carry no If-None-Match; its
        // completion does, and is judged.
        conditions: { Null: { "s3:if-none-match": "true" }, Bool: { "s3:ObjectCreationOperation": "true" } },
      }),
    );
    if (!this.settings.protect) return;
    bucket.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: "NothingIsDeleted",
        effect: iam.Effect.DENY,
        principals: [new iam.AnyPrincipal()],
        actions: ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
        resources: [bucket.arnForObjects("*")],
      }),
    );
  }

  private table(table: Table): dynamodb.Table {
    const warm = this.settings.warmThroughput[table.id] ?? WARM;
    const warmThroughput = { readUnitsPerSecond: warm.reads, writeUnitsPerSecond: warm.writes };
    const key = (name: string) => ({ name, type: dynamodb.AttributeType.STRING });
    const keys = (of: { partitionKey: string; sortKey?: string }) => ({
      partitionKey: key(of.partitionKey),
      ...(of.sortKey ? { sortKey: key(of.sortKey) } : {}),
    });
    const resource = new dynamodb.Table(this, `${table.id}Table`, {
      tableName: table.name,
      ...keys(table),
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: this.key,
      deletionProtection: this.settings.protect,
      removalPolicy: this.removalPolicy,
      ...(table.stream ? { stream: table.stream as dynamodb.StreamViewType } : {}),
      ...(table.timeToLive ? { timeToLiveAttribute: table.timeToLive } : {}),
      warmThroughput,
    });
    for (const index of table.indexes ?? []) {
      resource.addGlobalSecondaryIndex({
        indexName: index.name,
        ...keys(index),
        projectionType: dynamodb.ProjectionType.ALL,
        warmThroughput,
      });
    }
    return resource;
  }

  /** By name, so that a policy reads the same in every stack. */
  bucketArn(id: string): string {
    const { name } = find(this.topology.buckets, id, "bucket", "cdk/lib");
    return `arn:${Stack.of(this).partition}:s3:::${this.bucketName(name)}`;
  }

  objectsArn(id: string): string {
    return `${this.bucketArn(id)}/*`;
  }

  tableArn(id: string, index?: string): string {
    const { name } = find(this.topology.tables, id, "table", "cdk/lib");
    const resourceName = index ? `${name}/index/${index}` : name;
    return Stack.of(this).formatArn({
      service: "dynamodb",
      resource: "table",
      resourceName,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
  }
}
