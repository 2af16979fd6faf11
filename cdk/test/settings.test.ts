// What is optional, and what is refused: settings, topologies, definitions, archives.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { architectureOf, storedZip } from "../lib/artefacts.ts";
import { keyRequired } from "../lib/intake.ts";
import type { Topology } from "../lib/topology.ts";
import { fullTopology } from "./full.ts";
import { test } from "./harness.ts";
import { ROOT, synthesize } from "./templates.ts";

const vendors = [
  { id: "vendorA", perSecond: 50, burst: 100, keys: ["2026-11", "2027-01"] },
  { id: "vendor.B_2", perSecond: 5, burst: 10, keys: ["1"] },
];

export function settingsTests(): void {
  test("a plan for each vendor and a key for each name; no key's value is in the template", (check) => {
    const it = synthesize({ vendors });
    for (const vendor of vendors) {
      const plan = it.one("AWS::ApiGateway::UsagePlan", "UsagePlanName", `sluice-${vendor.id}`);
      check.equal(plan.Properties.Throttle, { RateLimit: vendor.perSecond, BurstLimit: vendor.burst }, vendor.id);
      check.equal(plan.Properties.ApiStages.length, 1, vendor.id);
      const keys = it
        .all("AWS::ApiGateway::UsagePlanKey")
        .filter((key) => key.Properties.UsagePlanId.Ref === plan.id)
        .map((key) => it.byId(key.Properties.KeyId.Ref));
      check.equal(
        keys.map((key) => key.Properties.Name).sort(),
        vendor.keys.map((name) => `sluice-${vendor.id}-${name}`),
        vendor.id,
      );
      for (const key of keys) check.equal([key.Properties.Value, key.Properties.Enabled], [undefined, true], vendor.id);
    }
  });

  test("firewall, mutual TLS, a domain, alarms by mail, no tracing, no access logs, arm64: by settings", (check) => {
    const it = synthesize({
      waf: "true",
      domainName: "ingest.example.com",
      certificateArn: "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-4000-8000-000000000000",
      mutualTlsTruststore: "s3://trust.example/vendors.pem",
      alarmEmail: "ops@example.com",
      tracing: false,
      accessLogs: false,
      architecture: "arm64",
      objectLockMode: "COMPLIANCE",
      rawRetentionDays: "30",
      logRetentionDays: 90,
      runbookBase: "https://example.com/runbooks",
      warmThroughput: '{"Vendors": {"reads": 20000, "writes": 5000}}',
      reservedConcurrency: '{"Accept": 500}',
    });
    const [acl] = it.all("AWS::WAFv2::WebACL");
    check.equal(acl!.Properties.Rules[0].Action.Block.CustomResponse.ResponseCode, 429, "WAF answers 429");
    check.equal(
      JSON.parse(acl!.Properties.CustomResponseBodies.tooMany.Content).type,
      "urn:sluice:problem:too-many-requests",
      "as a problem",
    );
    check.equal(it.all("AWS::WAFv2::WebACLAssociation").length, 1, "on the stage");
    const [domain] = it.all("AWS::ApiGateway::DomainName");
    check.equal(
      [domain!.Properties.MutualTlsAuthentication.TruststoreUri, domain!.Properties.SecurityPolicy],
      ["s3://trust.example/vendors.pem", "TLS_1_2"],
      "mutual TLS",
    );
    check.equal(it.all("AWS::ApiGateway::RestApi")[0]!.Properties.DisableExecuteApiEndpoint, true, "and no way around it");
    check.equal(it.all("AWS::SNS::Subscription")[0]!.Properties.Endpoint, "ops@example.com", "mail");
    check.equal(it.all("AWS::ApiGateway::Stage")[0]!.Properties.AccessLogSetting, undefined, "no access log");
    for (const fn of it.all("AWS::Lambda::Function"))
      check.equal(
        fn.Properties.Architectures,
        [fn.Properties.FunctionName === "sluice-normalize" ? "x86_64" : "arm64"],
        fn.Properties.FunctionName,
      );
    check.equal(
      it.one("AWS::S3::Bucket", "BucketName", "sluice-raw-111122223333-eu-central-1").Properties.ObjectLockConfiguration.Rule
        .DefaultRetention,
      { Days: 30, Mode: "COMPLIANCE" },
      "retention",
    );
    check.equal(
      it.one("AWS::DynamoDB::Table", "TableName", "sluice-vendors").Properties.WarmThroughput,
      { ReadUnitsPerSecond: 20_000, WriteUnitsPerSecond: 5_000 },
      "warm",
    );
    check.equal(
      it.one("AWS::Lambda::Function", "FunctionName", "sluice-accept").Properties.ReservedConcurrentExecutions,
      500,
      "reserved",
    );
    check.equal(
      it.one("AWS::Lambda::Function", "FunctionName", "sluice-normalize").Properties.ReservedConcurrentExecutions,
      200,
      "others keep theirs",
    );
    for (const alarm of it.all("AWS::CloudWatch::Alarm"))
      check.that(
        alarm.Properties.AlarmDescription.includes("https://example.com/runbooks/alarms.md#"),
        alarm.Properties.AlarmName,
      );
  });

  test("unprotected, for a test account: everything goes with its stack", (check) => {
    const it = synthesize({ protect: false, bucketSuffix: "" });
    check.equal(it.terminationProtection["sluice-stateful"], false, "termination");
    for (const type of ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SQS::Queue"]) {
      for (const resource of it.all(type)) check.that(resource.DeletionPolicy !== "Retain", resource.id);
    }
    check.equal(
      it.one("AWS::S3::Bucket", "BucketName", "sluice-raw").Properties.ObjectLockConfiguration?.Rule,
      undefined,
      "no retention",
    );
    check.that(!JSON.stringify(it.all("AWS::S3::BucketPolicy")).includes("NothingIsDeleted"), "deletion is not refused");
    check.that(
      JSON.stringify(it.all("AWS::S3::BucketPolicy")).includes("ObjectsAreCreatedOnce"),
      "creation still is conditional",
    );
  });

  test("the public keys for bundles reach normalize only; a private key is refused", (check) => {
    const file = join(tmpdir(), `sluice-trust-${process.pid}.pem`);
    const pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
    writeFileSync(file, pem);
    const it = synthesize({ mapperTrustKeys: file });
    for (const fn of it.all("AWS::Lambda::Function")) {
      check.equal(
        fn.Properties.Environment.Variables.MAPPER_TRUST_KEYS,
        fn.Properties.FunctionName === "sluice-normalize" ? pem.trim() : undefined,
        fn.Properties.FunctionName,
      );
    }
    writeFileSync(file, "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n");
    check.throws(() => synthesize({ mapperTrustKeys: file }), /public keys in PEM, and nothing secret/, "a private key");
    const key = it.all("AWS::KMS::Key").find((key) => key.Properties.KeySpec === "ECC_NIST_P256")!;
    check.equal(key.Properties.KeyUsage, "SIGN_VERIFY", "the signing key");
  });

  test("settings that are wrong are refused by name", (check) => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ architecture: "sparc" }, /setting architecture .* one of x86_64, arm64/],
      [{ logRetentionDays: 31 }, /setting logRetentionDays .* one of 1, 3/],
      [{ waf: "yes" }, /setting waf is "yes": it must be JSON/],
      [{ waf: 1 }, /setting waf .* of type boolean/],
      [{ mutualTlsTruststore: "s3://a/b" }, /mutualTlsTruststore needs domainName/],
      [{ domainName: "a.example" }, /domainName and certificateArn belong together/],
      [{ vendors: [{ id: "a b", perSecond: 1, burst: 1, keys: ["1"] }] }, /id must be a vendorId/],
      [{ vendors: [{ id: "a", perSecond: 1, burst: 1, keys: [] }] }, /keys must name each key once/],
      [{ vendors: [{ id: "a", perSecond: 0, burst: 1, keys: ["1"] }] }, /perSecond and burst must be positive/],
      [{ vendors: [vendors[0], vendors[0]] }, /vendorA twice/],
    ];
    for (const [context, pattern] of cases) check.throws(() => synthesize(context), pattern, JSON.stringify(context));
  });

  test("topologies that do not hold together are refused by name", (check) => {
    // biome-ignore lint/suspicious/noExplicitAny: what is not allowed has no type
    const cases: [(topology: Topology & Record<string, any>) => void, RegExp][] = [
      [(it) => Object.assign(it, { surprise: 1 }), /has the member "surprise", which this version of cdk\/ does not know/],
      [(it) => Object.assign(it.functions[0]!, { memoryGb: 1 }), /functions\[0\] has the member "memoryGb"/],
      [(it) => delete (it.functions[0] as { package?: string }).package, /functions\[0\] lacks "package"/],
      [(it) => Object.assign(it.tables[0]!, { stream: "SOME_IMAGES" }), /tables\[0\]\.stream is "SOME_IMAGES"/],
      [(it) => it.functions.push({ ...it.functions[0]! }), /functions "Accept" is declared twice/],
      [
        (it) => it.functions.push({ ...it.functions[0]!, id: "Surprise", name: "sluice-surprise" }),
        /the function Surprise of topology\.json has no row in cdk\/lib\/permissions\.ts/,
      ],
      [
        (it) => Object.assign(it, { tables: it.tables.filter((table) => table.id !== "Divergence") }),
        /permissions of PersistRaw .* table "Divergence"/,
      ],
      [(it) => Object.assign(it.rules[0]!.target, { stateMachine: "Normalize" }), /exactly one of stateMachine and queue/],
      [(it) => Object.assign(it.rules[0]!.target, { queue: "Nope" }), /rule normalize-accepted refers to the queue "Nope"/],
      [(it) => Object.assign(it.streams[0]!, { parallelizationFactor: 11 }), /parallelizationFactor of 11; it is 1 to 10/],
      [(it) => Object.assign(it.pipes[0]!, { queue: "Nope" }), /pipe of queue Nope refers to the queue "Nope"/],
      [(it) => Object.assign(it.pipes[0]!, { stateMachine: "Nope" }), /refers to the state machine "Nope"/],
      [(it) => Object.assign(it.pipes[0]!, { stateMachine: "Recover" }), /sluice-recover is not EXPRESS/],
      [(it) => Object.assign(it.pipes[0]!, { queue: "Dlq" }), /has no redrive policy/],
      [(it) => Object.assign(it.pipes[0]!, { queue: "Orders" }), /route OrderPlaced reads that queue already/],
      [(it) => it.pipes.push({ ...it.pipes[0]! }), /pipe of queue Normalize is declared twice/],
      [(it) => Object.assign(it.pipes[0]!, { batchSize: 11 }), /batchSize of 11; it is 1 to 10/],
      [(it) => Object.assign(it.streams[0]!, { table: "Vendors" }), /the table has no stream/],
      [(it) => Object.assign(it.queues[0]!, { redrive: { queue: "Nope", maxReceiveCount: 1 } }), /refers to the queue "Nope"/],
      [(it) => Object.assign(it.queues[0]!, { redrive: { queue: "Dlq", maxReceiveCount: 1 } }), /go in a circle/],
      [(it) => it.routes.push({ ...it.routes[0]!, id: "Again" }), /two routes without sources take/],
      [(it) => it.routes.push({ ...it.routes.find((route) => route.sources)!, id: "Again" }), /both take OrderPlaced of vendor/],
      [
        (it) => Object.assign(it.queues.find((queue) => queue.id === "Orders")!, { visibilityTimeoutSeconds: 60 }),
        /must be at least six times the 30 s/,
      ],
      [(it) => delete it.queues.find((queue) => queue.id === "Orders")!.redrive, /has no redrive policy/],
      [
        (it) => Object.assign(it.routes.find((route) => route.id === "OrderUpdated")!, { maximumConcurrency: 3 }),
        /they share one event source/,
      ],
      [(it) => Object.assign(it.routes[0]!, { function: "Nope" }), /refers to the function "Nope"/],
      [(it) => Object.assign(it.schedules[0]!, { rateMinutes: 0 }), /rateMinutes of at least 1/],
      [(it) => Object.assign(it.schedules[0]!, { function: "Nope" }), /schedule .* refers to the function "Nope"/],
    ];
    for (const [change, pattern] of cases) check.throws(() => synthesize({}, fullTopology(change)), pattern, String(pattern));
  });

  test("definitions whose permissions cannot be told are refused by state", (check) => {
    const broken = (change: (text: string) => string) => {
      const path = fullTopology();
      const file = join(path, "..", "recover.asl.json");
      writeFileSync(file, change(readFileSync(file, "utf8")));
      return () => synthesize({}, path);
    };
    check.throws(
      broken((text) => text.replace("arn:aws:states:::sqs:sendMessage", "arn:aws:states:::dynamodb:putItem")),
      /state SendToDlq: nothing is known of the permissions for arn:aws:states:::dynamodb:putItem/,
      "another service",
    );
    check.throws(
      broken((text) => text.replaceAll("${DlqQueueUrl}", "${NopeQueueUrl}")),
      /"Nope", which is not declared/,
      "a placeholder for nothing",
    );
    check.throws(
      broken((text) => text.replaceAll("${DlqQueueUrl}", "{% $states.input.url %}")),
      /must be one placeholder/,
      "a computed target",
    );
    check.throws(
      broken((text) => text.replaceAll("${DlqQueueUrl}", "${DlqThing}")),
      /is no placeholder/,
      "no kind",
    );
  });

  test("results of a Distributed Map cannot go to a write-once bucket", (check) => {
    const path = fullTopology((it) =>
      Object.assign(it.buckets.find((bucket) => bucket.id === "Normalized")!, { writeOnce: true }),
    );
    const replay = readFileSync(join(path, "..", "replay.asl.json"), "utf8");
    const writesThere = replay.includes('"ResultWriter"') && replay.includes("${NormalizedBucketName}");
    if (writesThere) check.throws(() => synthesize({}, path), /which is write-once, would refuse its results/, "replay");
    else check.that(true, "the repository's replay writes elsewhere");
  });

  test("archives: missing, made for another architecture, or without a program", (check) => {
    if (!existsSync(join(ROOT, "target", "lambda", "accept", "bootstrap.zip"))) {
      check.throws(() => synthesize({ artefacts: "packages" }), /run `cargo xtask package`/, "missing");
    }
    const elf = (machine: number) => {
      const program = Buffer.alloc(64);
      program.write("\x7fELF", 0, "latin1");
      program.writeUInt16LE(machine, 18);
      return program;
    };
    check.equal(architectureOf(storedZip("bootstrap", elf(62)), "a.zip"), "x86_64", "62");
    check.equal(architectureOf(storedZip("bootstrap", elf(183)), "a.zip"), "arm64", "183");
    check.throws(() => architectureOf(storedZip("bootstrap", elf(8)), "a.zip"), /no program for/, "MIPS");
    check.throws(
      () => architectureOf(storedZip("bootstrap", Buffer.from("#!/bin/sh\n".padEnd(64))), "a.zip"),
      /no program for/,
      "a script",
    );
    check.throws(() => architectureOf(storedZip("main", elf(62)), "a.zip"), /no file named bootstrap/, "another name");
    check.throws(() => architectureOf(Buffer.from("no archive"), "a.zip"), /no file named bootstrap/, "no archive");
  });

  test("an operation demands the API key unless one way to authenticate has none", (check) => {
    const cases: [object[] | undefined, object[] | undefined, boolean][] = [
      [[{ apiKey: [] }], undefined, true],
      [undefined, undefined, false],
      [[{ apiKey: [] }], [], false],
      [undefined, [{ apiKey: [] }, {}], false],
      [undefined, [{ apiKey: [] }, { signature: [] }], false],
      [undefined, [{ apiKey: [], signature: [] }], true],
    ];
    for (const [global, own, wanted] of cases)
      check.equal(
        keyRequired({ security: global as Record<string, unknown>[] }, { security: own as Record<string, unknown>[] }),
        wanted,
        JSON.stringify([global, own]),
      );
  });

  test("the runbooks that the issue names are there, and the paths they name exist", (check) => {
    const folder = join(ROOT, "docs", "runbooks");
    const wanted = [
      "alarms",
      "conflict",
      "correct",
      "delete-everything",
      "deploy",
      "hold",
      "operations",
      "redrive",
      "replay",
      "restore-a-table",
      "roll-back-a-mapper",
      "rotate-a-key",
      "upgrade-wasmtime",
      "where-a-number-comes-from",
    ];
    const found = readdirSync(folder)
      .filter((name) => name !== "README.md")
      .map((name) => name.replace(/\.md$/, ""));
    check.equal(found.sort(), wanted, "files");
    mkdirSync(join(ROOT, "target", "cdk"), { recursive: true });
    for (const name of [...wanted, "README"]) {
      const text = readFileSync(join(folder, `${name}.md`), "utf8");
      for (const link of text.matchAll(/\]\(([^)#:]+)(#[a-z0-9-]+)?\)/g))
        check.that(existsSync(join(folder, link[1]!)), `${name}.md links to ${link[1]}`);
    }
  });
}
