// The app, with the behaviour of the CDK that the templates are made for: stated here, so that tests and command get the same.

import { App, type AppProps } from "aws-cdk-lib";

const FLAGS = {
  "@aws-cdk/aws-iam:minimizePolicies": false,
  "@aws-cdk/aws-iam:standardizedServicePrincipals": true,
  "@aws-cdk/aws-lambda:recognizeLayerVersion": true,
  "@aws-cdk/aws-lambda:recognizeVersionProps": true,
  "@aws-cdk/aws-apigateway:disableCloudWatchRole": true,
  "@aws-cdk/aws-apigateway:requestValidatorUniqueId": true,
  "@aws-cdk/aws-kms:applyImportedAliasPermissionsToPrincipal": true,
  "@aws-cdk/aws-kms:aliasNameRef": true,
  "@aws-cdk/aws-kms:reduceCrossAccountRegionPolicyScope": true,
  "@aws-cdk/aws-s3:createDefaultLoggingPolicy": true,
  "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": true,
  "@aws-cdk/aws-s3:publicAccessBlockedByDefault": true,
  "@aws-cdk/core:checkSecretUsage": true,
  // The stateful stack cannot lose what the other one uses.
  "@aws-cdk/core:defaultCrossStackReferences": "strong",
  "@aws-cdk/core:enablePartitionLiterals": true,
  "@aws-cdk/core:target-partitions": ["aws"],
  "@aws-cdk/core:validateSnapshotRemovalPolicy": true,
};

export function newApp(props: AppProps = {}): App {
  return new App({ ...props, context: { ...FLAGS, ...props.context } });
}
