// What no cloud shows at once, by the console over documents in memory: hostile text, the live parts, the keyboard, 390 pixels.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { enter, open, start, violations } from "./browser.mjs";

const gallery = process.env.SLUICE_GALLERY_BIN;
const EVENT = "01KAJ3Y3R00000000000000001";
const ARN = encodeURIComponent(`arn:aws:states:us-east-1:000000000000:execution:sluice-recover:${EVENT}-0`);
const PATHS = ["/", "/hours/2026-11-21T10", "/quarantine", "/groups/0123456789abcdef?candidate=9f1c0a77", "/events", `/events/${EVENT}`, `/events/${EVENT}?raw=hex`, "/operations",
  "/operations/01KAJ3Y3R0000000000000000Z", "/executions", `/executions/${ARN}`, "/vendors", "/vendors/vendorA", "/mappers", "/mappers/vendorA/inventory_update", "/dead-letters", "/divergence",
  `/conflicts?id=${EVENT}`, "/audit", "/nowhere"];

let browser;
before(async () => {
  assert.ok(gallery, "SLUICE_GALLERY_BIN names the example `gallery` of sluice-console: `cargo xtask test` sets it");
  browser = await open();
});
after(async () => browser?.close());

async function console_(flags, options, body) {
  const server = start(gallery, flags, (line) => line.startsWith("http://") && line);
  try {
    const visit = await enter(browser, await server.found, options);
    await body(visit);
    await visit.context.close();
  } finally {
    await server.stop();
  }
}

for (const [name, flags] of [["with documents", []], ["with nothing in them", ["--empty"]], ["with hostile text", ["--hostile"]], ["read-only", ["--read-only"]]]) {
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark", viewport: { width: 390, height: 844 } }]) {
    test(`every page ${name}, ${options.colorScheme}, ${options.viewport?.width ?? 1280} pixels`, async () => {
      await console_(flags, options, async ({ page, base, faults }) => {
        for (const path of PATHS) {
          await page.goto(base + path);
          await page.waitForLoadState("load");
          assert.deepEqual(await violations(page), [], path);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          assert.ok(wide <= 0, `${path} is ${wide} pixels too wide`);
        }
        // The page that is not there is the one thing to complain of.
        assert.deepEqual(faults.filter((fault) => !/404/.test(fault)), []);
      });
    });
  }
}

test("a list does not move under the pointer", async () => {
  await console_([], {}, async ({ page, base }) => {
    let polls = 0;
    await page.route("**/quarantine", async (route) => {
      if (!route.request().headers()["hx-request"]) return route.continue();
      polls += 1;
      const response = await route.fetch({ headers: { ...route.request().headers(), "if-none-match": "" } });
      const body = await response.text();
      const [head, rest] = [body.slice(0, body.indexOf("<tbody>") + 7), body.slice(body.indexOf("<tbody>") + 7)];
      await route.fulfill({ response, status: 200, body: `${head}<tr data-row="new"><td class="lead">A new one</td></tr>${rest}`, headers: { etag: `"${polls}"`, "content-type": "text/html" } });
    });
    await page.goto(`${base}/quarantine`);
    await page.locator("tbody tr").first().hover();
    const offer = page.getByRole("button", { name: "1 new: show" });
    await offer.waitFor({ timeout: 10_000 });
    assert.equal(await page.getByText("A new one").count(), 0, "nothing has moved");
    await offer.click();
    await page.getByText("A new one").waitFor();
  });
});

test("the keyboard alone is enough", async () => {
  await console_([], {}, async ({ page, base }) => {
    await page.goto(`${base}/quarantine`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/groups\//);
    await page.keyboard.press("]");
    await page.waitForURL(/example=/);
    await page.keyboard.press("g");
    await page.keyboard.press("e");
    await page.waitForURL(/\/events/);
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.name), "vendor");
    await page.locator("body").click();
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keys" }).waitFor();
  });
});

test("the theme is chosen, and stays", async () => {
  await console_([], { colorScheme: "light" }, async ({ page, base }) => {
    await page.goto(`${base}/`);
    const button = page.getByRole("button", { name: /^Theme/ });
    await button.click();
    await button.click();
    assert.equal(await button.textContent(), "Theme: dark");
    await page.goto(`${base}/events`);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  });
});

test("at twice the size nothing is cut off", async () => {
  await console_([], { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 }, async ({ page, base }) => {
    for (const path of PATHS) {
      await page.goto(base + path);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} pixels too wide`);
    }
  });
});
