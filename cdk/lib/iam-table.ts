// docs/iam.md: who may do what, made from the synthesized templates, so that it cannot say anything else than what is deployed.

export interface Statement {
  Sid?: string;
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: unknown;
  Condition?: Record<string, Record<string, unknown>>;
}

export interface Grant {
  /** `Function sluice-accept` */
  who: string;
  /** Who may take the role. */
  assumedBy: string;
  statements: Statement[];
}

/** Why a statement names all resources: AWS has no other form. A statement of another kind that does so is an error. */
export const ALL_RESOURCES: Record<string, string> = {
  "xray:": "X-Ray has no resources to name",
  "logs:": "the calls that configure log delivery take no resource",
  "dynamodb:ListStreams": "the call takes no stream",
  "states:ListStateMachines": "the call takes no machine",
  "sqs:ListQueues": "the call takes no queue",
};

export function whyAllResources(actions: string[]): string | undefined {
  const reasons = actions.map((action) => Object.entries(ALL_RESOURCES).find(([prefix]) => action.startsWith(prefix))?.[1]);
  return reasons.every((it) => it !== undefined) ? [...new Set(reasons)].join("; ") : undefined;
}

const list = (value: string | string[]): string[] => (Array.isArray(value) ? value : [value]);
const code = (text: string) => `\`${text.replaceAll("|", "\\|")}\``;

function conditions(statement: Statement, text: (value: unknown) => string): string {
  return Object.entries(statement.Condition ?? {})
    .flatMap(([operator, pairs]) =>
      Object.entries(pairs).map(
        ([key, value]) =>
          `${code(key)} ${operator} ${list(value as string | string[])
            .map((it) => code(text(it)))
            .join(", ")}`,
      ),
    )
    .join("; ");
}

function row(statement: Statement, text: (value: unknown) => string): string {
  const resources = (Array.isArray(statement.Resource) ? statement.Resource : [statement.Resource]).map((it) => text(it)).sort();
  const actions = list(statement.Action).sort();
  const shown = resources.map((it) => code(it)).join("<br>");
  const why = resources.includes("*") ? ` (${whyAllResources(actions) ?? "no reason is known"})` : "";
  return `| ${actions.map(code).join(", ")} | ${shown}${why} | ${conditions(statement, text)} |`;
}

export function iamTable(
  grants: Grant[],
  resourcePolicies: { on: string; statements: Statement[] }[],
  text: (value: unknown) => string,
): string {
  const out = [
    "# Who may do what on AWS",
    "",
    "Generated from the templates by `SLUICE_BLESS=1 npm test` in `cdk/`; a test fails when it is stale. Account `111122223333` and region",
    "`eu-central-1` stand for yours. No action is a wildcard. A resource is `*` only where AWS has no other form, with the reason beside it; a",
    "trailing `/*` is the objects of one bucket or the executions of one machine.",
    "",
    "## Roles",
  ];
  for (const grant of [...grants].sort((a, b) => a.who.localeCompare(b.who))) {
    out.push("", `### ${grant.who}`, "", `Assumed by ${grant.assumedBy}.`, "");
    if (grant.statements.length > 0) {
      out.push("| actions | on | when |", "|---|---|---|", ...[...new Set(grant.statements.map((it) => row(it, text)))]);
    }
  }
  out.push("", "## Policies of resources", "", "What is refused to everyone, and which services may do something by themselves.");
  for (const policy of [...resourcePolicies].sort((a, b) => a.on.localeCompare(b.on))) {
    out.push("", `### ${policy.on}`, "", "| | who | actions | when |", "|---|---|---|---|");
    for (const it of policy.statements) {
      const principal = it.Principal as string | { AWS?: unknown; Service?: string };
      const who =
        typeof principal === "string"
          ? "everyone"
          : principal.Service
            ? code(text(principal.Service))
            : text(principal.AWS) === "*"
              ? "everyone"
              : code(text(principal.AWS));
      out.push(`| ${it.Effect} | ${who} | ${list(it.Action).sort().map(code).join(", ")} | ${conditions(it, text)} |`);
    }
  }
  return `${out.join("\n")}\n`;
}
