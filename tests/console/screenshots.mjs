// The screenshots of docs/console.md, of `sluice dev --examples` with events in it: `cargo xtask screenshots`.

import { mkdir, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { enter, open, start } from "./browser.mjs";

const [sluice, root, target] = [process.env.SLUICE_BIN, process.env.SLUICE_HOME, process.argv[2]];
const BYTES_MAX = 250_000;
const folder = await mkdtemp(join(tmpdir(), "sluice-screenshots-"));
const args = ["--json", "dev", "--port", "0", "--aws-port", "0", "--console-port", "0", "--data", folder, "--examples", "--examples-dir", join(root, "examples")];
const cloud = start(sluice, args, (line) => line.startsWith("{") && JSON.parse(line).event === "ready" && JSON.parse(line));
const browser = await open();
try {
  const ready = await cloud.found;
  const example = async (name) => JSON.parse(await readFile(join(root, "examples", name), "utf8"));
  const post = async (body, key) => {
    const headers = { "x-api-key": key, "content-type": "application/json" };
    const answer = await fetch(`${ready.api}/v1/events`, { method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
    return (await answer.json()).ingestId;
  };
  const [good, renamed] = [await example("vendorA-inventory.json"), await example("vendorA-inventory-renamed.json")];
  let last;
  for (let number = 0; number < 60; number++) await post({ ...good, externalEventId: `stock-${number}` }, "vendorA-dev-key");
  for (let number = 0; number < 24; number++) last = await post({ ...renamed, externalEventId: `stock-r-${number}` }, "vendorA-dev-key");

  const visit = await enter(browser, ready.console);
  const read = (path) => visit.page.request.get(`${visit.base}${path}.json`).then((answer) => answer.json());
  let group;
  for (let look = 0; look < 120 && group?.open !== 24; look++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    group = (await read("/quarantine")).groups[0];
  }
  const pages = { overview: "/", quarantine: "/quarantine", group: `/groups/${group.fingerprint}`, event: `/events/${last}`, events: "/events" };
  await mkdir(target, { recursive: true });
  const state = await visit.context.storageState();
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ storageState: state, colorScheme, viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "Europe/Berlin" });
    const page = await context.newPage();
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(visit.base + path);
      await page.waitForLoadState("load");
      const file = join(target, `${name}-${colorScheme}.png`);
      await page.screenshot({ path: file });
      const { size } = await stat(file);
      if (size > BYTES_MAX) throw new Error(`${file} has ${size} bytes: at most ${BYTES_MAX}`);
      console.log(file, size);
    }
    await context.close();
  }
} finally {
  await browser.close();
  await cloud.stop();
  await rm(folder, { recursive: true, force: true });
}
