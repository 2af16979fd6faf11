// `npx cdk synth`, `npx cdk deploy --all`: the app. Settings are context; see README.md.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { newApp } from "../lib/app.ts";
import { settings } from "../lib/settings.ts";
import { sluice } from "../lib/stacks.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const app = newApp();
const env = { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION };
sluice(
  app,
  settings(root, (name) => app.node.tryGetContext(name)),
  env.account && env.region ? { env: env as { account: string; region: string } } : {},
);
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
