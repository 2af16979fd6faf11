// The mapping templates, as they stand in the synthesized API, rendered by Apache Velocity.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BODY_BYTES_MAX, HEADERS_BYTES_MAX, UPLOAD_BYTES_MAX } from "../lib/intake.ts";
import { type Check, test } from "./harness.ts";
import { ROOT, type Synthesized } from "./templates.ts";
import { Velocity } from "./velocity.ts";

/** Step Functions' limit of an input, in bytes of UTF-8. */
const INPUT_BYTES_MAX = 262_144;

/** Lambda's limit of a synchronous invocation's payload, in bytes. */
const INVOCATION_BYTES_MAX = 6_291_456;

/** The integrations that start `intake`, and the one that invokes `upload`. */
const starts = (it: { path: string; integration: Integration }) =>
  it.integration.type === "aws" && !it.path.startsWith("/v1/uploads/");
const uploads = (it: { path: string; integration: Integration }) =>
  it.integration.type === "aws" && it.path.startsWith("/v1/uploads/");

interface RequestCase {
  name: string;
  method: string;
  resourcePath: string;
  pathParameters: Record<string, string>;
  headers: [string, string][];
  body: { base64: string } | { repeat: string; bytes: number };
  expected?: Record<string, unknown>;
  refused?: "body-too-large" | "headers-too-large";
}

interface AnswerCase {
  name: string;
  execution?: Record<string, unknown>;
  http?: number;
  refusal?: Record<string, unknown>;
  expected: { status: number; headers: Record<string, string>; body: unknown };
}

const corpus = (name: string) => JSON.parse(readFileSync(join(ROOT, "cdk", "test", "corpus", name), "utf8"));

function bytes(body: RequestCase["body"]): Buffer {
  if ("base64" in body) return Buffer.from(body.base64, "base64");
  return Buffer.alloc(body.bytes, Buffer.from(body.repeat, "base64"));
}

function integrations(it: Synthesized): { path: string; method: string; integration: Integration }[] {
  const body = it.all("AWS::ApiGateway::RestApi")[0]!.Properties.Body;
  return Object.entries(body.paths as Record<string, Record<string, { "x-amazon-apigateway-integration": Integration }>>).flatMap(
    ([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({
        path,
        method,
        integration: operation["x-amazon-apigateway-integration"],
      })),
  );
}

interface Integration {
  type: string;
  requestTemplates: Record<string, unknown>;
  responses: Record<string, { statusCode: string; responseTemplates: Record<string, string> }>;
}

export function velocityTests(plain: () => Synthesized, withCors: () => Synthesized): () => void {
  let started: Velocity | undefined;
  const velocity = (): Velocity => {
    started ??= Velocity.start(ROOT);
    return started;
  };

  test("the request template gives intake the exact bytes, for every request of the corpus", async (check) => {
    const { cases, limits, sourceIp, requestId } = corpus("requests.json");
    check.equal(
      limits,
      { bodyBytesMax: BODY_BYTES_MAX, headersBytesMax: HEADERS_BYTES_MAX },
      "the limits are those of the corpus, which a Rust test holds",
    );
    const synthesized = plain();
    const post = integrations(synthesized).find(starts)!.integration;
    const templates = new Set(
      integrations(synthesized)
        .filter(starts)
        .flatMap((it) => Object.values(it.integration.requestTemplates).map((text) => synthesized.text(text))),
    );
    check.equal(templates.size, 1, "every operation and media type has the same request template");
    const template = synthesized.text(post.requestTemplates["application/json"]);
    for (const it of cases as RequestCase[]) {
      const body = bytes(it.body);
      const request = {
        template,
        headers: it.headers,
        path: it.pathParameters,
        context: { httpMethod: it.method, resourcePath: it.resourcePath, requestId, "identity.sourceIp": sourceIp },
      };
      const { output } = await velocity().render({ ...request, body: body.toString("base64") });
      const call = JSON.parse(output) as { stateMachineArn: string; input: string; name?: string };
      check.equal(call.stateMachineArn, "arn:aws:states:eu-central-1:111122223333:stateMachine:sluice-intake", it.name);
      if (it.refused === "body-too-large") {
        check.equal([call.name, call.input], ["body too large", "{}"], it.name);
        // Names may have no spaces: Step Functions answers InvalidName.
        check.that(/[^A-Za-z0-9_-]/.test(call.name!), it.name);
        continue;
      }
      check.equal(Object.keys(call).sort(), ["input", "stateMachineArn"], it.name);
      if (it.refused === "headers-too-large") {
        check.throws(() => JSON.parse(call.input), /JSON/, `${it.name}: Step Functions must refuse the input`);
        continue;
      }
      const { body: sent, ...document } = JSON.parse(call.input);
      check.equal(document, it.expected, it.name);
      check.that(Buffer.from(sent, "base64").equals(body) && sent === body.toString("base64"), `${it.name}: the bytes differ`);
      check.that(
        Buffer.byteLength(call.input) <= INPUT_BYTES_MAX,
        `${it.name}: the input has ${Buffer.byteLength(call.input)} bytes`,
      );
      // What API Gateway makes of an absent body is not documented.
      if (body.length === 0) {
        for (const absent of [undefined, "{}"]) {
          const again = JSON.parse(
            (await velocity().render({ ...request, ...(absent === undefined ? {} : { body: absent }) })).output,
          );
          check.equal(again, call, `${it.name}, given as ${absent}`);
        }
      }
    }
  });

  test("the template of uploads gives the function the exact bytes, for every request of the corpus", async (check) => {
    const { cases, sourceIp, requestId } = corpus("requests.json");
    const synthesized = plain();
    const template = synthesized.text(integrations(synthesized).find(uploads)!.integration.requestTemplates["application/json"]);
    const render = async (it: RequestCase, body: Buffer) => {
      const { output } = await velocity().render({
        template,
        headers: it.headers,
        path: it.pathParameters,
        context: { httpMethod: it.method, resourcePath: it.resourcePath, requestId, "identity.sourceIp": sourceIp },
        body: body.toString("base64"),
      });
      return output;
    };
    for (const it of cases as RequestCase[]) {
      const body = bytes(it.body);
      const call = JSON.parse(await render(it, body));
      if (it.refused === "headers-too-large") {
        check.equal(call.refused, "headers-too-large", it.name);
        continue;
      }
      const { body: sent, ...document } = call;
      if (it.expected) check.equal(document, it.expected, it.name);
      check.equal(sent, body.toString("base64"), `${it.name}: the bytes differ`);
    }
    const first = (cases as RequestCase[])[0]!;
    const headers: [string, string][] = Array.from({ length: 50 }, (_, index) => [
      `x-header-${String(index).padStart(2, "0")}`,
      "v".repeat(HEADERS_BYTES_MAX / 50 - 11),
    ]);
    const largest = await render({ ...first, headers }, Buffer.alloc(UPLOAD_BYTES_MAX, 0x7b));
    check.equal(Object.keys(JSON.parse(largest).headers).length, 50, "all headers are there");
    // Escaped, a header may come to three times its bytes.
    check.that(Buffer.byteLength(largest) + 2 * HEADERS_BYTES_MAX <= INVOCATION_BYTES_MAX, `it has ${largest.length} bytes`);
    const refused = JSON.parse(await render(first, Buffer.alloc(UPLOAD_BYTES_MAX + 1, 0x7b)));
    check.equal([refused.refused, refused.method], ["body-too-large", undefined], "one byte more is refused");
    check.that(refused.detail.includes(`${UPLOAD_BYTES_MAX}`) && refused.detail.includes("gzip"), refused.detail);
  });

  test("the largest request that is taken fits the input of Step Functions with the most headers that are taken", async (check) => {
    const synthesized = plain();
    const template = synthesized.text(integrations(synthesized).find(starts)!.integration.requestTemplates["application/json"]);
    const headers: [string, string][] = Array.from({ length: 50 }, (_, index) => [
      `x-header-${String(index).padStart(2, "0")}`,
      "v".repeat(HEADERS_BYTES_MAX / 50 - 11),
    ]);
    check.equal(
      headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0),
      HEADERS_BYTES_MAX,
      "the headers are at the limit",
    );
    const { output } = await velocity().render({
      template,
      body: Buffer.alloc(BODY_BYTES_MAX, 0x7b).toString("base64"),
      headers,
      path: { vendorId: "v".repeat(64) },
      context: {
        httpMethod: "POST",
        resourcePath: "/v1/sources/{vendorId}",
        requestId: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "identity.sourceIp": "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
      },
    });
    const { input } = JSON.parse(output);
    check.equal(Object.keys(JSON.parse(input).headers).length, 50, "all headers are there");
    check.that(Buffer.byteLength(input) <= INPUT_BYTES_MAX, `the input has ${Buffer.byteLength(input)} bytes`);
  });

  test("nothing that a client chooses breaks out of the document: path parameters, header names, method", async (check) => {
    const synthesized = plain();
    const template = synthesized.text(integrations(synthesized).find(starts)!.integration.requestTemplates["application/json"]);
    for (const hostile of [
      'a"b',
      "a\\",
      "a'b\\'",
      '","body":"e30=","x":"',
      "$input.body #set($a = 1)",
      "{vendorId}",
      "a/../b",
      "\u{1F69A}\u0000\n",
      "",
    ]) {
      const { output } = await velocity().render({
        template,
        body: "eA==",
        headers: [[`x-${hostile}`, hostile]],
        path: { vendorId: hostile },
        context: { httpMethod: "POST", resourcePath: "/v1/sources/{vendorId}", requestId: "id", "identity.sourceIp": "::1" },
      });
      const document = JSON.parse(JSON.parse(output).input);
      const wanted = {
        method: "POST",
        path: `/v1/sources/${hostile}`,
        sourceIp: "::1",
        requestId: "id",
        headers: { [`x-${hostile}`.toLowerCase()]: hostile },
        body: "eA==",
      };
      check.equal(document, wanted, JSON.stringify(hostile));
    }
  });

  test("the answer templates give the status, headers and body that the corpus says, each override once", async (check) => {
    const synthesized = plain();
    const { responses } = integrations(synthesized).find(starts)!.integration;
    for (const it of corpus("answers.json").cases as AnswerCase[]) {
      const pattern =
        it.http === undefined
          ? "200"
          : (Object.keys(responses).find((key) => key !== "default" && new RegExp(`^(?:${key})$`).test(String(it.http))) ??
            "default");
      const response = responses[pattern]!;
      await answers(check, velocity(), it, response, {});
    }
  });

  test("what the function upload answers is handed on as what intake answers", async (check) => {
    const response = integrations(plain()).find(uploads)!.integration.responses.default!;
    let compared = 0;
    for (const it of corpus("answers.json").cases as AnswerCase[]) {
      if (it.execution?.status !== "SUCCEEDED") continue;
      await answers(check, velocity(), { ...it, execution: JSON.parse(it.execution.output as string) }, response, {});
      compared += 1;
    }
    check.that(compared >= 10, `${compared} were compared`);
    const unavailable = (corpus("answers.json").cases as AnswerCase[]).find((it) => it.execution?.status === "TIMED_OUT")!;
    const fault = { errorType: "Retryable", errorMessage: "{}" };
    await answers(check, velocity(), { ...unavailable, name: "a fault of the function", execution: fault }, response, {});
  });

  test("an output that cannot be read leaves the template with an error, which the gateway response turns into 503", async (check) => {
    const { responses } = integrations(plain()).find((it) => it.integration.type === "aws")!.integration;
    const template = responses["200"]!.responseTemplates["application/json"]!;
    let refused = "";
    await velocity()
      .render({ template, document: '{"status": "SUCCEEDED", "output": "not JSON"}' })
      .catch((error: Error) => {
        refused = error.message;
      });
    check.that(refused.includes("parseJson"), `parseJson must have failed: ${refused}`);
  });

  test("a method that a path does not have is 405 with Allow", async (check) => {
    const synthesized = plain();
    const mocks = integrations(synthesized).filter((it) => it.method === "x-amazon-apigateway-any-method");
    check.that(mocks.length > 0, "there are such methods");
    for (const { path, integration } of mocks) {
      const requests = new Set(Object.values(integration.requestTemplates));
      check.equal([...requests], ['{"statusCode": 405}'], path);
      const response = integration.responses.default!;
      const { output, overrides } = await velocity().render({
        template: response.responseTemplates["application/json"]!,
        document: "{}",
      });
      const problem = JSON.parse(output);
      check.equal(
        [response.statusCode, problem.status, problem.type],
        ["405", 405, "urn:sluice:problem:method-not-allowed"],
        path,
      );
      const methods = integrations(synthesized)
        .filter((it) => it.path === path && it.integration.type === "aws")
        .map((it) => it.method.toUpperCase());
      check.equal(overrides["header:Allow"], methods.sort().join(", "), path);
      check.equal(overrides["header:Content-Type"], "application/problem+json", path);
    }
  });

  test("CORS: allowed origins, and no others, are named in answers and preflights", async (check) => {
    const synthesized = withCors();
    const all = integrations(synthesized);
    const { responses } = all.find((it) => it.integration.type === "aws")!.integration;
    const accepted = (corpus("answers.json").cases as AnswerCase[])[0]!;
    for (const header of ["origin", "Origin"]) {
      await answers(
        check,
        velocity(),
        accepted,
        responses["200"]!,
        { "header:Access-Control-Allow-Origin": "https://ops.example", "header:Vary": "origin" },
        [[header, "https://ops.example"]],
      );
    }
    await answers(check, velocity(), accepted, responses["200"]!, {}, [["origin", "https://evil.example"]]);
    await answers(check, velocity(), accepted, responses["200"]!, {}, [["origin", "https://ops.example.evil.example"]]);
    const preflights = all.filter((it) => it.method === "options");
    check.equal(preflights.length, new Set(all.map((it) => it.path)).size, "every path answers a preflight");
    const preflight = preflights.find((it) => it.path === "/v1/events")!.integration.responses.default!;
    const template = preflight.responseTemplates["application/json"]!;
    const allowed = await velocity().render({ template, headers: [["Origin", "https://ops.example"]] });
    check.equal([preflight.statusCode, allowed.output.trim()], ["204", ""], "no content");
    check.equal(allowed.overrides["header:Access-Control-Allow-Origin"], "https://ops.example", "allowed");
    check.equal(allowed.overrides["header:Access-Control-Allow-Methods"], "POST", "methods");
    check.that(allowed.overrides["header:Access-Control-Allow-Headers"]?.includes("webhook-signature"), "headers");
    const refused = await velocity().render({ template, headers: [["Origin", "https://evil.example"]] });
    check.equal(refused.overrides["header:Access-Control-Allow-Origin"], undefined, "refused");
    check.equal(
      integrations(plain()).filter((it) => it.method === "options"),
      [],
      "without origins, OPTIONS is a method like any other",
    );
  });

  return () => started?.stop();
}

async function answers(
  check: Check,
  velocity: Velocity,
  it: AnswerCase,
  response: Integration["responses"][string],
  more: Record<string, string>,
  headers: [string, string][] = [],
): Promise<void> {
  const document = JSON.stringify(it.execution ?? it.refusal);
  const { output, overrides } = await velocity.render({
    template: response.responseTemplates["application/json"]!,
    document,
    headers,
  });
  const wanted: Record<string, string> = { ...more };
  for (const [name, value] of Object.entries(it.expected.headers)) {
    wanted[`header:${name === "content-type" ? "Content-Type" : "Retry-After"}`] = value;
  }
  const { status, ...found } = overrides;
  check.equal(Number(status ?? response.statusCode), it.expected.status, `${it.name}: status`);
  check.equal(found, wanted, `${it.name}: headers`);
  check.equal(JSON.parse(output), it.expected.body, `${it.name}: body`);
  const answered =
    it.execution?.status === "SUCCEEDED" && it.expected.status !== 503 ? JSON.parse(JSON.parse(document).output).body : undefined;
  if (answered !== undefined) check.equal(output, answered, `${it.name}: the body's exact text`);
}
