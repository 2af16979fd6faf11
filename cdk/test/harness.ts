// Tests that say what they proved. A test that throws has failed; the number of checks it made is part of its line.

import { isDeepStrictEqual } from "node:util";

type Body = (check: Check) => void | Promise<void>;

export class Check {
  count = 0;

  that(holds: unknown, message: string): void {
    this.count += 1;
    if (!holds) throw new Error(message);
  }

  equal(found: unknown, wanted: unknown, message: string): void {
    this.count += 1;
    if (!isDeepStrictEqual(found, wanted)) {
      throw new Error(`${message}\n      found  ${shown(found)}\n      wanted ${shown(wanted)}`);
    }
  }

  throws(run: () => unknown, pattern: RegExp, message: string): void {
    this.count += 1;
    try {
      run();
    } catch (error) {
      if (pattern.test((error as Error).message)) return;
      throw new Error(`${message}: ${(error as Error).message}`);
    }
    throw new Error(`${message}: nothing was refused`);
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length})` : text;
}

const tests: { name: string; body: Body }[] = [];

export function test(name: string, body: Body): void {
  tests.push({ name, body });
}

/** Runs all, or those whose name has the filter in it; gives the number of failures. */
export async function run(filter: string | undefined): Promise<number> {
  let failed = 0;
  let checks = 0;
  const chosen = tests.filter((it) => !filter || it.name.includes(filter));
  for (const { name, body } of chosen) {
    const check = new Check();
    try {
      await body(check);
      if (check.count === 0) throw new Error("the test checked nothing");
      console.log(`ok    ${name} (${check.count})`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${(error as Error).stack ?? error}`);
    }
    checks += check.count;
  }
  if (chosen.length === 0) {
    console.log("no test ran");
    return 1;
  }
  console.log(`${chosen.length - failed} passed, ${failed} failed, ${checks} checks`);
  return failed;
}
