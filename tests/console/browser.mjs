// What the console's tests in a browser share: Chromium, a signed-in page, axe, and a process that prints its address.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Debian's Chromium; `SLUICE_CHROMIUM` names another. */
export const open = () =>
  chromium.launch({
    executablePath: process.env.SLUICE_CHROMIUM || "/usr/bin/chromium",
    // In a container there is no user namespace to make a sandbox of. Only this repository's own pages are opened.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });

/** Starts a program and resolves with what `find` makes of a line of its output. */
export function start(program, args, find, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], ...options });
  const lines = [];
  const found = new Promise((resolve, reject) => {
    let rest = "";
    child.stdout.on("data", (data) => {
      rest += data;
      let end;
      while ((end = rest.indexOf("\n")) >= 0) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 1);
        lines.push(line);
        const value = find(line);
        if (value) resolve(value);
      }
    });
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${lines.join("\n")}`)));
  });
  const stop = () =>
    new Promise((resolve) => {
      if (child.exitCode !== null) return resolve();
      child.on("exit", resolve);
      child.kill("SIGTERM");
    });
  return { child, found, lines, stop };
}

/** A browser context that went through the door, and its page. Anything that the browser complains of is kept in `faults`. */
export async function enter(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || /Content Security Policy/.test(message.text())) faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(address);
  const base = new URL(page.url()).origin;
  return { context, page, base, faults };
}

/** What axe finds on the page, one line a violation. */
export async function violations(page) {
  // By the debugger, which the page's policy does not concern.
  await page.evaluate(axeSource);
  const result = await page.evaluate(() =>
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  return result.violations.map(
    (one) => `${one.id} (${one.impact}): ${one.help}: ${one.nodes.slice(0, 4).map((node) => `${node.target.join(" ")} ${node.any.map((check) => check.message).join("; ")}`).join(" | ")}`,
  );
}
