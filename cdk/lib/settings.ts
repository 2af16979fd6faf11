// Settings: CDK context, from `cdk.json` or `-c name=value`, read once and checked. `cdk/README.md` lists them.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export type Architecture = "x86_64" | "arm64";

/** A vendor at the API: one usage plan, and one API key for each name in `keys`; two during a rotation. */
export interface VendorAccess {
  id: string;
  perSecond: number;
  burst: number;
  keys: string[];
}

export interface Settings {
  /** The repository. */
  root: string;
  topology: string;
  openapi: string;
  /** `packages`: what `cargo xtask package` built. `placeholder`: a program that does nothing, for tests of the templates. */
  artefacts: "packages" | "placeholder";
  /** Termination and deletion protection, retention, refusal of deletion. Off only in a test account. */
  protect: boolean;
  /** Bucket names are global: `sluice-raw` becomes `sluice-raw-<suffix>`. */
  bucketSuffix: string | undefined;
  architecture: Architecture;
  normalizeArchitecture: Architecture;
  reservedConcurrency: Record<string, number>;
  warmThroughput: Record<string, { reads: number; writes: number }>;
  rawRetentionDays: number;
  objectLockMode: "GOVERNANCE" | "COMPLIANCE";
  logRetentionDays: number;
  accessLogs: boolean;
  /** Lambda's own lines of every invocation (start, runtimeDone, report). Its warnings are always logged. */
  platformLogs: boolean;
  tracing: boolean;
  apiAccountRole: boolean;
  apiRatePerSecond: number;
  apiBurst: number;
  corsOrigins: string[];
  vendors: VendorAccess[];
  waf: boolean;
  wafRequestsPer5Minutes: number;
  domainName: string | undefined;
  certificateArn: string | undefined;
  mutualTlsTruststore: string | undefined;
  /** Path of a PEM file with the public keys that bundles are signed with. */
  mapperTrustKeys: string | undefined;
  alarmEmail: string | undefined;
  /** Where `docs/runbooks/` is on the web; the path alone if absent. */
  runbookBase: string | undefined;
}

/** What is taken when nothing is set. */
export function defaults(root: string): Settings {
  return {
    root,
    topology: join(root, "state-machines", "topology.json"),
    openapi: join(root, "schemas", "openapi.yaml"),
    artefacts: "packages",
    protect: true,
    bucketSuffix: undefined,
    architecture: "x86_64",
    normalizeArchitecture: "x86_64",
    // Normalize is capped, so that a backlog or a replay cannot take the concurrency that Accept needs; a second Reconcile
    // would only do the first one's work again.
    reservedConcurrency: { Normalize: 200, Reconcile: 1 },
    // The ledger is written twice per event, and its two indexes with it. All other tables get DynamoDB's own 12,000 and 4,000.
    warmThroughput: { Ledger: { reads: 12_000, writes: 10_000 } },
    rawRetentionDays: 400,
    objectLockMode: "GOVERNANCE",
    logRetentionDays: 30,
    accessLogs: true,
    platformLogs: false,
    tracing: true,
    apiAccountRole: true,
    apiRatePerSecond: 5_000,
    apiBurst: 5_000,
    corsOrigins: [],
    vendors: [],
    waf: false,
    wafRequestsPer5Minutes: 100_000,
    domainName: undefined,
    certificateArn: undefined,
    mutualTlsTruststore: undefined,
    mapperTrustKeys: undefined,
    alarmEmail: undefined,
    runbookBase: undefined,
  };
}

/** Retention periods that CloudWatch Logs has. */
const RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

const CHOICES: Partial<Record<keyof Settings, readonly unknown[]>> = {
  artefacts: ["packages", "placeholder"],
  architecture: ["x86_64", "arm64"],
  normalizeArchitecture: ["x86_64", "arm64"],
  objectLockMode: ["GOVERNANCE", "COMPLIANCE"],
  logRetentionDays: RETENTION_DAYS,
};

/** `-c` gives texts; `cdk.json` gives JSON. */
function parse(name: string, value: unknown, example: unknown): unknown {
  const wantsText = example === undefined || typeof example === "string";
  if (wantsText || typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    throw new Error(`the setting ${name} is ${JSON.stringify(value)}: it must be JSON, such as ${JSON.stringify(example)}`);
  }
}

export function settings(root: string, context: (name: string) => unknown): Settings {
  const base = defaults(root);
  const out: Record<string, unknown> = { ...base };
  for (const name of Object.keys(base) as (keyof Settings)[]) {
    const given = context(name);
    if (name === "root" || given === undefined || given === null) continue;
    const example = base[name];
    const value = parse(name, given, example);
    const wanted = example === undefined ? "string" : Array.isArray(example) ? "array" : typeof example;
    const found = Array.isArray(value) ? "array" : typeof value;
    if (wanted !== found) throw new Error(`the setting ${name} is ${JSON.stringify(given)}: it must be of type ${wanted}`);
    const isMap = name === "reservedConcurrency" || name === "warmThroughput";
    out[name] = isMap ? { ...(example as object), ...(value as object) } : value;
  }
  check(out as unknown as Settings);
  return out as unknown as Settings;
}

function check(it: Settings): void {
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = it[name as keyof Settings];
    if (!choices.includes(value))
      throw new Error(`the setting ${name} is ${JSON.stringify(value)}: it must be one of ${choices.join(", ")}`);
  }
  if (it.mutualTlsTruststore && !it.domainName) {
    throw new Error(
      "the setting mutualTlsTruststore needs domainName and certificateArn: API Gateway has mutual TLS on domains of one's own only",
    );
  }
  if (!!it.domainName !== !!it.certificateArn) throw new Error("the settings domainName and certificateArn belong together");
  if (it.mutualTlsTruststore && !it.mutualTlsTruststore.startsWith("s3://"))
    throw new Error("the setting mutualTlsTruststore must be an s3:// address of PEM certificates");
  if (it.rawRetentionDays < 1) throw new Error("the setting rawRetentionDays must be at least 1");
  const ids = new Set<string>();
  for (const vendor of it.vendors) {
    const shown = JSON.stringify(vendor);
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(vendor.id ?? ""))
      throw new Error(`the setting vendors has ${shown}: id must be a vendorId`);
    if (ids.has(vendor.id)) throw new Error(`the setting vendors has ${vendor.id} twice`);
    ids.add(vendor.id);
    if (!(vendor.perSecond > 0) || !(vendor.burst >= 1))
      throw new Error(`the setting vendors has ${shown}: perSecond and burst must be positive`);
    if (
      !Array.isArray(vendor.keys) ||
      vendor.keys.length === 0 ||
      vendor.keys.some((it) => !/^[A-Za-z0-9-]{1,32}$/.test(it)) ||
      new Set(vendor.keys).size !== vendor.keys.length
    ) {
      throw new Error(`the setting vendors has ${shown}: keys must name each key once, such as ["2026-11"]`);
    }
  }
}

/** The public keys, as one text. */
export function trustKeys(it: Settings): string | undefined {
  if (!it.mapperTrustKeys) return undefined;
  const text = readFileSync(it.mapperTrustKeys, "utf8").trim();
  if (!/^-----BEGIN PUBLIC KEY-----/.test(text) || /PRIVATE KEY/.test(text)) {
    throw new Error(`${it.mapperTrustKeys} must hold public keys in PEM, and nothing secret: -----BEGIN PUBLIC KEY-----`);
  }
  return text;
}
