// How a request reaches `intake` and how its answer comes back: the mapping templates, and the OpenAPI file as API Gateway is
// given it. Every operation of the file is answered by the same machine through the same templates.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Settings } from "./settings.ts";

/** `crates/core/src/limits.rs`; a Rust test reads them from `test/corpus/limits.json`. */
export const BODY_BYTES_MAX = 190_000;
export const HEADERS_BYTES_MAX = 6_000;

/** What `/v1/uploads` takes on AWS, below the 5 MiB of `limits.rs`: base64 of it and the headers must fit the 6 MB (6,291,456 bytes)
 *  of a synchronous invocation ("Lambda quotas", AWS), docs/adr/0057. */
export const UPLOAD_BYTES_MAX = 4_700_000;

const isUpload = (path: string) => path.startsWith("/v1/uploads/");

/** What a body may be where the file says any type: API Gateway needs a list, as `*` + `/*` breaks mock integrations. */
const ANY_MEDIA_TYPE = [
  "application/edi-x12",
  "application/json",
  "application/octet-stream",
  "application/x-www-form-urlencoded",
  "application/xml",
  "text/csv",
  "text/plain",
  "text/xml",
];

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

type Json = Record<string, unknown>;
interface Operation {
  operationId?: string;
  tags?: string[];
  security?: Json[];
  parameters?: { $ref?: string; name?: string; in?: string }[];
  requestBody?: { content?: Json };
  responses?: Record<
    string,
    { $ref?: string; description?: string; content?: Record<string, { examples?: Record<string, { value: Json }> }> }
  >;
}
interface OpenApi {
  openapi: string;
  info: { title: string; version: string; description?: string };
  security?: Json[];
  paths: Record<string, Record<string, Operation>>;
}

/** The one thing in the file that only the local cloud has is tagged so. */
function operations(document: OpenApi): { path: string; method: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method, operation]) => METHODS.includes(method) && !operation.tags?.includes("local"))
      .map(([method, operation]) => ({ path, method, operation })),
  );
}

/** What a `$ref` within the file stands for. */
function resolve<T extends object>(document: OpenApi, node: T): T {
  const reference = (node as { $ref?: string }).$ref;
  if (reference === undefined) return node;
  let at: unknown = document;
  for (const name of reference.replace(/^#\//, "").split("/")) {
    at = (at as Json | undefined)?.[name.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  if (!reference.startsWith("#/") || at === undefined)
    throw new Error(`openapi.yaml refers to ${reference}, which it does not have`);
  return at as T;
}

/** Whether every way to authenticate has the API key. Where one has not, `Accept` judges alone. */
export function keyRequired(document: { security?: Json[] }, operation: { security?: Json[] }): boolean {
  const alternatives = operation.security ?? document.security ?? [];
  return alternatives.length > 0 && alternatives.every((it) => "apiKey" in it);
}

export function readOpenApi(path: string): OpenApi {
  const document = parse(readFileSync(path, "utf8")) as OpenApi;
  if (!/^3\.0\./.test(document.openapi)) throw new Error(`${path} is OpenAPI ${document.openapi}: API Gateway reads 3.0`);
  return document;
}

/** The problem documents of the file's examples, by code, with a detail that holds for every request. */
export function problems(document: OpenApi): (code: string, detail: string) => string {
  const examples = new Map<string, Json>();
  for (const { operation } of operations(document)) {
    for (const stated of Object.values(operation.responses ?? {})) {
      const response = resolve(document, stated);
      for (const [code, example] of Object.entries(response.content?.["application/problem+json"]?.examples ?? {})) {
        examples.set(code, resolve(document, example).value);
      }
    }
  }
  return (code, detail) => {
    const example = examples.get(code);
    if (!example) throw new Error(`openapi.yaml has no example of the problem ${code}`);
    const text = JSON.stringify({ type: example.type, title: example.title, status: example.status, detail });
    // It stands in a single-quoted string of a template, or in one of API Gateway's own, which knows `$context` only.
    if (/['$#\\]/.test(text)) throw new Error(`the problem ${code} cannot stand in a mapping template: ${text}`);
    return text;
  };
}

export const DETAILS = {
  unavailable: "the event was not accepted; send it again",
  tooMany: "too many requests at once; send it again later",
  bodyTooLarge: `the body may have at most ${BODY_BYTES_MAX} bytes here: send it with content-encoding gzip, or to /v1/uploads`,
  uploadTooLarge: `the body may have at most ${UPLOAD_BYTES_MAX} bytes as sent: send it with content-encoding gzip, or in parts`,
  requestTooLarge: `the body may have at most ${BODY_BYTES_MAX} bytes, at /v1/uploads ${UPLOAD_BYTES_MAX}`,
  headersTooLarge: `the headers may have at most ${HEADERS_BYTES_MAX} bytes`,
  unauthenticated: "send the API key of the vendor in the header x-api-key; it is missing, or not known",
  notFound: "there is no such path here",
  contentType: "the content type is not one that this path takes",
  badRequest: "the request could not be read",
};

/** Fills `{{name}}`; one that has no value is an error. Lines that are comments, and the last newline, are left out. */
export function fill(folder: string, file: string, values: Record<string, string>): string {
  const text = readFileSync(join(folder, file), "utf8");
  const code = text
    .split("\n")
    .filter((line) => !line.startsWith("##"))
    .join("\n");
  const filled = code.replace(/\{\{([A-Za-z-]+)\}\}\n?/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${file}: nothing is known of {{${name}}}`);
    const newline = whole.endsWith("\n") && value !== "" && !value.endsWith("\n") ? "\n" : "";
    return value + newline;
  });
  return filled.replace(/\n+$/, "");
}

export interface Gateway {
  /** What the state machine's ARN is called in the request template. */
  stateMachineArn: string;
  roleArn: string;
  integrationUri: string;
  /** Invokes the function behind `/v1/uploads`. */
  uploadUri: string;
}

/** The OpenAPI document as API Gateway imports it: paths, methods, keys and statuses of the file, our integrations, and no schemas,
 *  since `Accept` judges contents and names every fault. */
export function apiDefinition(
  settings: Settings,
  gateway: Gateway,
): { body: Json; mediaTypes: string[]; templates: Record<string, string> } {
  const document = readOpenApi(settings.openapi);
  const folder = join(settings.root, "cdk", "templates");
  const problem = problems(document);
  const all = operations(document);
  const stated = all.flatMap(({ operation }) =>
    operation.requestBody ? Object.keys(resolve(document, operation.requestBody).content ?? {}) : [],
  );
  const mediaTypes = [
    ...new Set(["application/json", ...stated.flatMap((it) => (it.includes("*") ? ANY_MEDIA_TYPE : [it]))]),
  ].sort();

  const corsOrigins = JSON.stringify(settings.corsOrigins);
  const values = {
    stateMachineArn: gateway.stateMachineArn,
    bodyBytesMax: String(BODY_BYTES_MAX),
    headersBytesMax: String(HEADERS_BYTES_MAX),
    uploadBytesMax: String(UPLOAD_BYTES_MAX),
    uploadTooLarge: DETAILS.uploadTooLarge,
    headersTooLarge: DETAILS.headersTooLarge,
    unavailable: problem("unavailable", DETAILS.unavailable),
    "too-many-requests": problem("too-many-requests", DETAILS.tooMany),
    "body-too-large": problem("body-too-large", DETAILS.bodyTooLarge),
    "headers-too-large": problem("headers-too-large", DETAILS.headersTooLarge),
    corsHeaders: "content-type,content-encoding,x-api-key,webhook-id,webhook-timestamp,webhook-signature",
    cors: "",
  };
  if (settings.corsOrigins.length > 0) values.cors = `${fill(folder, "cors.vtl", { corsOrigins })}\n`;
  const template = (file: string, more: Record<string, string> = {}) => fill(folder, file, { ...values, ...more });
  const request = template("request.vtl");
  const answer = template("answer.vtl");
  const refused = template("refused.vtl");
  const unavailable = template("unavailable.vtl");

  const forAll = (text: string) => Object.fromEntries(mediaTypes.map((type) => [type, text]));
  // CONVERT_TO_TEXT on the way back as well: a client that accepts a media type of the list would have the answer decoded as base64.
  const response = (statusCode: string, text: string) => ({
    statusCode,
    contentHandling: "CONVERT_TO_TEXT",
    responseTemplates: { "application/json": text },
  });
  const integration = {
    type: "aws",
    httpMethod: "POST",
    uri: gateway.integrationUri,
    credentials: gateway.roleArn,
    passthroughBehavior: "never",
    contentHandling: "CONVERT_TO_TEXT",
    timeoutInMillis: 29_000,
    requestTemplates: forAll(request),
    requestParameters: { "integration.request.header.Content-Type": "'application/x-amz-json-1.0'" },
    responses: { "200": response("200", answer), "4\\d{2}": response("503", refused), default: response("503", unavailable) },
  };
  const upload = {
    ...integration,
    uri: gateway.uploadUri,
    requestTemplates: forAll(template("upload.vtl")),
    requestParameters: { "integration.request.header.Content-Type": "'application/json'" },
    responses: { default: response("200", template("upload-answer.vtl")) },
  };
  const mock = (status: string, text: string) => ({
    type: "mock",
    passthroughBehavior: "never",
    contentHandling: "CONVERT_TO_TEXT",
    requestTemplates: forAll(`{"statusCode": ${status}}`),
    responses: { default: response(status, text) },
  });

  const paths: Record<string, Json> = {};
  for (const { path, method, operation } of all) {
    const item = paths[path] ?? {};
    paths[path] = item;
    const parameters = [...path.matchAll(/\{([^}]+)\}/g)].map((it) => ({
      name: it[1]!,
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    const statuses = [...new Set([...Object.keys(operation.responses ?? {}), "200", "503"])]
      .filter((it) => /^\d{3}$/.test(it))
      .sort();
    item[method] = {
      operationId: operation.operationId,
      ...(parameters.length > 0 ? { parameters } : {}),
      ...(keyRequired(document, operation) ? { security: [{ apiKey: [] }] } : {}),
      responses: Object.fromEntries(statuses.map((status) => [status, { description: `Status ${status}` }])),
      "x-amazon-apigateway-integration": isUpload(path) ? upload : integration,
    };
  }
  for (const [path, item] of Object.entries(paths)) {
    const allow = Object.keys(item)
      .map((it) => it.toUpperCase())
      .sort()
      .join(", ");
    const parameters = [...path.matchAll(/\{([^}]+)\}/g)].map((it) => ({
      name: it[1]!,
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    const more = { allow, "method-not-allowed": problem("method-not-allowed", `use ${allow}`) };
    const withParameters = parameters.length > 0 ? { parameters } : {};
    item["x-amazon-apigateway-any-method"] = {
      ...withParameters,
      responses: { "405": { description: "Status 405" } },
      "x-amazon-apigateway-integration": mock("405", template("method-not-allowed.vtl", more)),
    };
    if (settings.corsOrigins.length > 0) {
      item.options = {
        ...withParameters,
        responses: { "204": { description: "Status 204" } },
        "x-amazon-apigateway-integration": mock("204", template("preflight.vtl", more)),
      };
    }
  }

  const body = {
    openapi: "3.0.3",
    info: { title: document.info.title, version: document.info.version },
    paths,
    components: { securitySchemes: { apiKey: { type: "apiKey", name: "x-api-key", in: "header" } } },
    "x-amazon-apigateway-api-key-source": "HEADER",
    "x-amazon-apigateway-binary-media-types": mediaTypes,
    "x-amazon-apigateway-gateway-responses": gatewayResponses(settings, problem),
  };
  return { body, mediaTypes, templates: { request, answer, refused, unavailable } };
}

/** What API Gateway answers by itself. Its own faults and time-outs are 503, never 500 or 504; a key that is missing is 401. */
function gatewayResponses(settings: Settings, problem: (code: string, detail: string) => string): Json {
  const origin = settings.corsOrigins.length === 1 ? settings.corsOrigins[0] : undefined;
  const make = (statusCode: number, code: string, detail: string, retry = false) => ({
    statusCode: String(statusCode),
    responseParameters: {
      "gatewayresponse.header.Content-Type": "'application/problem+json'",
      ...(retry ? { "gatewayresponse.header.Retry-After": "'1'" } : {}),
      ...(origin
        ? { "gatewayresponse.header.Access-Control-Allow-Origin": `'${origin}'`, "gatewayresponse.header.Vary": "'origin'" }
        : {}),
    },
    responseTemplates: { "application/json": problem(code, detail) },
  });
  const unauthenticated = make(401, "unauthenticated", DETAILS.unauthenticated);
  const unavailable = make(503, "unavailable", DETAILS.unavailable, true);
  const tooMany = make(429, "too-many-requests", DETAILS.tooMany, true);
  const notFound = make(404, "not-found", DETAILS.notFound);
  return {
    DEFAULT_4XX: make(400, "body-unreadable", DETAILS.badRequest),
    DEFAULT_5XX: unavailable,
    API_CONFIGURATION_ERROR: unavailable,
    INTEGRATION_FAILURE: unavailable,
    INTEGRATION_TIMEOUT: unavailable,
    ACCESS_DENIED: unauthenticated,
    EXPIRED_TOKEN: unauthenticated,
    INVALID_API_KEY: unauthenticated,
    INVALID_SIGNATURE: unauthenticated,
    UNAUTHORIZED: unauthenticated,
    MISSING_AUTHENTICATION_TOKEN: notFound,
    RESOURCE_NOT_FOUND: notFound,
    REQUEST_TOO_LARGE: make(413, "body-too-large", DETAILS.requestTooLarge),
    UNSUPPORTED_MEDIA_TYPE: make(415, "content-type-unsupported", DETAILS.contentType),
    THROTTLED: tooMany,
    QUOTA_EXCEEDED: tooMany,
    WAF_FILTERED: tooMany,
  };
}
