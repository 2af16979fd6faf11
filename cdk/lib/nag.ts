// cdk-nag: which rule is not followed where, and why. There is no other way to silence one.

import { Stack, Validations } from "aws-cdk-lib";
import type { Construct } from "constructs";

export function acknowledge(construct: Construct, id: string, reason: string): void {
  Validations.of(construct).acknowledge({ id, reason });
}

/** A resource that ends in a wildcard because AWS has no narrower form of it: the objects of a bucket, the executions of a machine. */
export function acknowledgeWildcard(construct: Construct, arn: string, reason: string): void {
  acknowledge(construct, `AwsSolutions-IAM5[Resource::${flat(Stack.of(construct).resolve(arn))}]`, reason);
}

/** As cdk-nag writes a reference: `<AWS::Region>`. */
function flat(value: unknown): string {
  if (typeof value === "string") return value;
  const it = value as { Ref?: string; "Fn::Join"?: [string, unknown[]]; "Fn::GetAtt"?: string[] };
  if (it.Ref) return `<${it.Ref}>`;
  if (it["Fn::GetAtt"]) return `<${it["Fn::GetAtt"].join(".")}>`;
  if (it["Fn::Join"]) return it["Fn::Join"][1].map(flat).join(it["Fn::Join"][0]);
  throw new Error(`cdk-nag's name of ${JSON.stringify(value)} is not known`);
}
