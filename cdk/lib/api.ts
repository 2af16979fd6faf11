// The ingest API: a REST API made of `schemas/openapi.yaml`, a plan and keys for each vendor, and what guards it.

import { Fn, RemovalPolicy, Stack } from "aws-cdk-lib";
import * as apigateway from "aws-cdk-lib/aws-apigateway";
import * as acm from "aws-cdk-lib/aws-certificatemanager";
import * as iam from "aws-cdk-lib/aws-iam";
import * as logs from "aws-cdk-lib/aws-logs";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as wafv2 from "aws-cdk-lib/aws-wafv2";
import { Construct } from "constructs";
import { apiDefinition, DETAILS, problems, readOpenApi } from "./intake.ts";
import { acknowledge } from "./nag.ts";
import { dependOn, type Processing } from "./processing.ts";
import type { Settings } from "./settings.ts";
import type { Storage } from "./storage.ts";
import { find, type TopologyFile } from "./topology.ts";

const STAGE = "api";

export class Api extends Construct {
  readonly restApi: apigateway.SpecRestApi;
  readonly stageName = STAGE;
  /** What vendors send to. */
  readonly url: string;
  /** Where the domain's name must point. */
  readonly domainTarget: string | undefined;

  constructor(
    scope: Construct,
    topology: TopologyFile,
    private readonly settings: Settings,
    processing: Processing,
    storage: Storage,
  ) {
    super(scope, "Api");
    const { partition, region } = Stack.of(this);
    const intake = find(topology.stateMachines, "Intake", "state machine", "the API");
    const stateMachineArn = processing.machineArn(intake);
    const role = new iam.Role(this, "Role", {
      description: "API Gateway: starts intake, itself or by the function upload",
      // Without aws:SourceAccount: that API Gateway sends it when it takes a role is not documented, and a role can be passed
      // to it within the account only.
      assumedBy: new iam.ServicePrincipal("apigateway.amazonaws.com"),
    });
    role.addToPolicy(
      new iam.PolicyStatement({ sid: "StartIntake", actions: ["states:StartSyncExecution"], resources: [stateMachineArn] }),
    );

    const uploadArn = processing.aliases.get("Upload")!.functionArn;
    role.addToPolicy(new iam.PolicyStatement({ sid: "Upload", actions: ["lambda:InvokeFunction"], resources: [uploadArn] }));

    const { body } = apiDefinition(settings, {
      stateMachineArn,
      roleArn: role.roleArn,
      integrationUri: `arn:${partition}:apigateway:${region}:states:action/StartSyncExecution`,
      uploadUri: `arn:${partition}:apigateway:${region}:lambda:path/2015-03-31/functions/${uploadArn}/invocations`,
    });
    const accessLog = new logs.LogGroup(this, "AccessLog", {
      logGroupName: "/aws/vendedlogs/sluice/api-access",
      retention: settings.logRetentionDays as logs.RetentionDays,
      encryptionKey: storage.key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.restApi = new apigateway.SpecRestApi(this, "RestApi", {
      restApiName: "sluice",
      apiDefinition: apigateway.ApiDefinition.fromInline(body),
      endpointTypes: [apigateway.EndpointType.REGIONAL],
      // A client certificate is asked for at the domain: the other door must be shut.
      disableExecuteApiEndpoint: settings.mutualTlsTruststore !== undefined,
      failOnWarnings: false,
      cloudWatchRole: settings.apiAccountRole,
      cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN,
      deployOptions: {
        stageName: STAGE,
        tracingEnabled: settings.tracing,
        metricsEnabled: true,
        // Errors only, and never the data: requests hold payloads and keys.
        loggingLevel: apigateway.MethodLoggingLevel.ERROR,
        dataTraceEnabled: false,
        throttlingRateLimit: settings.apiRatePerSecond,
        throttlingBurstLimit: settings.apiBurst,
        ...(settings.accessLogs
          ? { accessLogDestination: new apigateway.LogGroupLogDestination(accessLog), accessLogFormat: accessLogFormat() }
          : {}),
      },
    });
    dependOn(this.restApi, role);
    this.acknowledgements();
    this.url = settings.domainName ? `https://${settings.domainName}` : this.restApi.urlForPath("/").replace(/\/$/, "");
    for (const vendor of settings.vendors) this.vendor(vendor);
    this.domainTarget = this.domain();
    if (settings.waf) this.firewall(storage);
  }

  /** Throttling holds for each key by itself. The key's value is made by API Gateway: it is in no template. */
  private vendor(vendor: Settings["vendors"][number]): void {
    const plan = this.restApi.addUsagePlan(`Plan-${vendor.id}`, {
      name: `sluice-${vendor.id}`,
      description: `Requests of ${vendor.id}`,
      throttle: { rateLimit: vendor.perSecond, burstLimit: vendor.burst },
      apiStages: [{ api: this.restApi, stage: this.restApi.deploymentStage }],
    });
    for (const name of vendor.keys) {
      const key = this.restApi.addApiKey(`Key-${vendor.id}-${name}`, {
        apiKeyName: `sluice-${vendor.id}-${name}`,
        description: `Belongs to ${vendor.id}; its value is known to sluice by \`sluice vendors add\``,
      });
      plan.addApiKey(key);
    }
  }

  private domain(): string | undefined {
    const { domainName, certificateArn, mutualTlsTruststore } = this.settings;
    if (!domainName || !certificateArn) return undefined;
    const truststore = mutualTlsTruststore ? /^s3:\/\/([^/]+)\/(.+)$/.exec(mutualTlsTruststore) : undefined;
    if (truststore === null) throw new Error("the setting mutualTlsTruststore must be s3://<bucket>/<key>");
    const domain = new apigateway.DomainName(this, "Domain", {
      domainName,
      certificate: acm.Certificate.fromCertificateArn(this, "Certificate", certificateArn),
      endpointType: apigateway.EndpointType.REGIONAL,
      securityPolicy: apigateway.SecurityPolicy.TLS_1_2,
      ...(truststore
        ? { mtls: { bucket: s3.Bucket.fromBucketName(this, "Truststore", truststore[1]!), key: truststore[2]! } }
        : {}),
    });
    domain.addBasePathMapping(this.restApi, { stage: this.restApi.deploymentStage });
    return domain.domainNameAliasDomainName;
  }

  /** One source address may not take what all vendors share. Contents are not looked into: a payload is what it is. */
  private firewall(storage: Storage): void {
    const { partition, region } = Stack.of(this);
    const text = problems(readOpenApi(this.settings.openapi))("too-many-requests", DETAILS.tooMany);
    const visibilityConfig = (metricName: string) => ({
      cloudWatchMetricsEnabled: true,
      sampledRequestsEnabled: false,
      metricName,
    });
    const acl = new wafv2.CfnWebACL(this, "Firewall", {
      name: "sluice",
      scope: "REGIONAL",
      defaultAction: { allow: {} },
      visibilityConfig: visibilityConfig("sluice"),
      customResponseBodies: { tooMany: { contentType: "APPLICATION_JSON", content: text } },
      rules: [
        {
          name: "too-many-from-one-address",
          priority: 1,
          statement: {
            rateBasedStatement: { aggregateKeyType: "IP", limit: this.settings.wafRequestsPer5Minutes, evaluationWindowSec: 300 },
          },
          action: {
            block: {
              customResponse: {
                responseCode: 429,
                customResponseBodyKey: "tooMany",
                responseHeaders: [{ name: "retry-after", value: "60" }],
              },
            },
          },
          visibilityConfig: visibilityConfig("sluice-too-many-from-one-address"),
        },
        {
          name: "known-bad-inputs",
          priority: 2,
          overrideAction: { none: {} },
          statement: { managedRuleGroupStatement: { vendorName: "AWS", name: "AWSManagedRulesKnownBadInputsRuleSet" } },
          visibilityConfig: visibilityConfig("sluice-known-bad-inputs"),
        },
      ],
    });
    const stageArn = `arn:${partition}:apigateway:${region}::/restapis/${this.restApi.restApiId}/stages/${STAGE}`;
    const association = new wafv2.CfnWebACLAssociation(this, "FirewallAssociation", {
      webAclArn: acl.attrArn,
      resourceArn: stageArn,
    });
    association.node.addDependency(this.restApi.deploymentStage);
    const log = new logs.LogGroup(this, "FirewallLog", {
      logGroupName: "aws-waf-logs-sluice",
      encryptionKey: storage.key,
      retention: this.settings.logRetentionDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new wafv2.CfnLoggingConfiguration(this, "FirewallLogging", {
      resourceArn: acl.attrArn,
      logDestinationConfigs: [Fn.select(0, Fn.split(":*", log.logGroupArn))],
      redactedFields: [{ singleHeader: { Name: "x-api-key" } }, { singleHeader: { Name: "webhook-signature" } }],
    });
  }

  private acknowledgements(): void {
    const { settings } = this;
    acknowledge(
      this.restApi,
      "AwsSolutions-APIG2",
      "Accept validates, so that every fault is named at once and the bytes are kept as sent; a model of API Gateway would refuse with neither.",
    );
    acknowledge(
      this.restApi,
      "AwsSolutions-APIG4",
      "A vendor proves itself by an API key bound to it and, with a secret, by a signature over the exact bytes: both are verified by Accept (design section 4).",
    );
    acknowledge(this.restApi, "AwsSolutions-COG4", "Vendors are programs: there are no user pools. See AwsSolutions-APIG4.");
    if (!settings.waf)
      acknowledge(
        this.restApi,
        "AwsSolutions-APIG3",
        "The firewall is a setting (`waf`): it costs per request, and usage plans throttle each vendor without it.",
      );
    if (!settings.accessLogs)
      acknowledge(this.restApi, "AwsSolutions-APIG1", "Access logs were switched off by the setting `accessLogs`.");
    if (settings.apiAccountRole)
      acknowledge(
        this.restApi,
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
        "API Gateway's account-wide role for logs: it refuses a narrower one.",
      );
  }
}

/** One JSON line per request; nothing of its contents. */
function accessLogFormat(): apigateway.AccessLogFormat {
  const fields: Record<string, string> = {
    requestId: "$context.requestId",
    requestTime: "$context.requestTime",
    sourceIp: "$context.identity.sourceIp",
    method: "$context.httpMethod",
    path: "$context.resourcePath",
    status: "$context.status",
    responseLatencyMs: "$context.responseLatency",
    integrationLatencyMs: "$context.integration.latency",
    integrationStatus: "$context.integration.status",
    responseBytes: "$context.responseLength",
    apiKeyId: "$context.identity.apiKeyId",
    errorType: "$context.error.responseType",
    traceId: "$context.xrayTraceId",
  };
  return apigateway.AccessLogFormat.custom(JSON.stringify(fields));
}
