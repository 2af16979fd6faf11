// The journeys through the console of `sluice dev --examples`: accept, break, quarantine, publish, prove, promote, redrive, balance.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { enter, open, start, violations } from "./browser.mjs";

const run = promisify(execFile);
const sluice = process.env.SLUICE_BIN;
const root = process.env.SLUICE_HOME;
const events = Number(process.env.SLUICE_CONSOLE_EVENTS || 12);

let browser, cloud, ready, folder, visit;

before(async () => {
  assert.ok(sluice && root, "SLUICE_BIN and SLUICE_HOME name the program and the repository: `cargo xtask test` sets them");
  folder = await mkdtemp(join(tmpdir(), "sluice-console-"));
  const args = ["--json", "dev", "--port", "0", "--aws-port", "0", "--console-port", "0", "--data", folder, "--examples", "--examples-dir", join(root, "examples")];
  cloud = start(sluice, args, (line) => line.startsWith("{") && JSON.parse(line).event === "ready" && JSON.parse(line));
  ready = await cloud.found;
  browser = await open();
  visit = await enter(browser, ready.console);
});

after(async () => {
  await browser?.close();
  await cloud?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** The command line on the same cloud. */
const cli = async (...args) => {
  const { stdout } = await run(sluice, [`--local=${ready.aws}`, "--api", ready.api, "--json", ...args], { maxBuffer: 1 << 26, cwd: root });
  return JSON.parse(stdout);
};

async function post(body) {
  const answer = await fetch(`${ready.api}/v1/events`, {
    method: "POST",
    headers: { "x-api-key": "vendorA-dev-key", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 202, await answer.clone().text());
  return (await answer.json()).ingestId;
}

/** Loads a page until it says something: the pipeline and the pages' answers are a moment behind. */
async function until(path, words) {
  for (let look = 0; look < 120; look++) {
    await visit.page.goto(visit.base + path);
    const text = await visit.page.locator("main").innerText();
    if (words.test(text)) return text;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  assert.fail(`${path} never said ${words}: ${await visit.page.locator("main").innerText()}`);
}

test("an event is accepted, and its life is on its page", async () => {
  const good = JSON.parse(await readFile(join(root, "examples/vendorA-inventory.json"), "utf8"));
  const id = await post({ ...good, externalEventId: "console-good" });
  const text = await until(`/events/${id}`, /InventoryUpdated/);
  assert.match(text, /Normalized/);
  assert.match(text, /verified/);
  assert.deepEqual(await violations(visit.page), []);
});

test("a broken vendor is one group, and a fixed mapper releases it", async () => {
  const renamed = JSON.parse(await readFile(join(root, "examples/vendorA-inventory-renamed.json"), "utf8"));
  for (let number = 0; number < events; number++) await post({ ...renamed, externalEventId: `console-broken-${number}` });

  const words = new RegExp(`${events} events wait in 1 group`);
  await until("/quarantine", words);
  await visit.page.locator("td.lead a.main").first().click();
  await visit.page.waitForURL(/\/groups\/[0-9a-f]{16}/);
  const group = new URL(visit.page.url()).pathname;
  const cause = await visit.page.locator(".hero").innerText();
  assert.match(cause, new RegExp(`${events} events of vendorA cannot be mapped`));
  assert.match(await visit.page.locator("main").innerText(), /Beside the last good message/);
  await visit.page.getByRole("link", { name: "Example before" }).click();
  await visit.page.waitForURL(/example=/);
  assert.match(await visit.page.locator("#example").innerText(), new RegExp(`Example ${events - 1} of`));

  // A person acknowledges it, and others see so.
  await visit.page.getByLabel("Why it may wait").fill("OPS-1");
  await visit.page.getByRole("button", { name: "Acknowledge" }).click();
  await visit.page.getByText("The group is acknowledged.").waitFor();
  await until(group, /Acknowledged by .*OPS-1/);

  // Publish, prove, promote.
  const bundle = join(root, "mappers-wasm/demo/vendor-a-inventory-fixed");
  const wasm = join(root, "mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm");
  const published = await cli("mapper", "publish", bundle, "--wasm", wasm, "--no-test", "--no-activate");
  assert.equal(published.outcome, "published");
  await visit.page.goto(`${visit.base}${group}?candidate=${published.bundle}`);
  await visit.page.getByText(`It fixes ${events} events and breaks none`).waitFor({ timeout: 60_000 });
  await visit.page.getByRole("link", { name: "mapper", exact: true }).click();
  await visit.page.waitForURL(/\/mappers\/vendorA\/inventory_update/);
  await visit.page.getByLabel("Bundle").fill(published.bundle);
  await visit.page.locator("form[action$='/promote']").getByLabel("Reason").fill("OPS-1: reads quantity");
  await visit.page.getByRole("button", { name: "Promote" }).click();
  await visit.page.getByText("It is active within two seconds.").waitFor();
  await until("/mappers/vendorA/inventory_update", /OPS-1: reads quantity/);

  // The plan first, then the start, then the end. The functions take two seconds to see the mapper.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  await visit.page.goto(visit.base + group);
  await visit.page.getByRole("button", { name: /^Redrive/ }).click();
  await visit.page.waitForURL(/\/operations\//);
  const operation = new URL(visit.page.url()).pathname;
  assert.match(await visit.page.locator("main").innerText(), /nothing has been run yet/);
  assert.deepEqual(await violations(visit.page), []);
  await visit.page.getByLabel("Reason").fill("OPS-1: fixed");
  const started = visit.page.waitForResponse((response) => response.request().method() === "POST");
  await visit.page.getByRole("button", { name: new RegExp(`^Start: ${events} items`) }).click();
  await started;
  await until(operation, new RegExp(`Done: ${events} items came to their end, none failed`));
  await until("/quarantine", /Nothing is in quarantine/);
  await until("/", /0 quarantined \+ 0 in flight; nothing unaccounted for/);
  const balance = await cli("balance");
  assert.equal(balance.balanced, true);
  assert.equal(balance.quarantined, 0);
  await until("/audit", /OPS-1: fixed/);
});

test("every page passes axe and breaks no rule of its policy", async () => {
  const known = await cli("ls");
  const arn = (await visit.page.request.get(`${visit.base}/executions.json`).then((answer) => answer.json())).executions[0]?.arn;
  const paths = ["/", "/events", `/events/${known.events[0].ingestId}`, "/quarantine?all=1", "/operations", "/executions", "/vendors", "/vendors/vendorA",
    "/mappers", "/mappers/vendorA/inventory_update", "/dead-letters", "/divergence", "/conflicts", "/audit", ...(arn ? [`/executions/${encodeURIComponent(arn)}`] : [])];
  for (const path of paths) {
    const answer = await visit.page.goto(visit.base + path);
    assert.equal(answer.status(), 200, path);
    assert.deepEqual(await violations(visit.page), [], path);
  }
  assert.deepEqual(visit.faults, []);
});

test("another host, another site and another browser are kept out", async () => {
  for (const port of [ready.console, ready.api, ready.aws].map((address) => new URL(address).port)) {
    const { stdout } = await run("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", `http://127.0.0.1:${port}/`]);
    assert.equal(stdout, "421", `port ${port}`);
  }
  const stranger = await browser.newContext();
  const page = await stranger.newPage();
  assert.equal((await page.goto(`${visit.base}/`)).status(), 401);
  assert.equal((await page.goto(ready.console)).status(), 410, "the address was used");
  await stranger.close();
});
