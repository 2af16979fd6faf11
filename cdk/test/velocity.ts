// Apache Velocity, as software that we did not write: Debian's packages in a cache below target/, and a small runner around it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PACKAGES = ["velocity", "libcommons-collections3-java", "libcommons-lang-java"];

export interface Case {
  template: string;
  body?: string;
  document?: string;
  headers?: [string, string][];
  path?: Record<string, string>;
  context?: Record<string, string>;
}

export interface Rendered {
  output: string;
  /** `status`, `header:Content-Type` */
  overrides: Record<string, string>;
}

const encode = (text: string) => Buffer.from(text, "utf8").toString("base64");
const decode = (text: string) => Buffer.from(text, "base64").toString("utf8");

/** Fetches and compiles what is not in the cache; gives the class path. */
function prepare(root: string): string {
  const cache = join(root, "target", "cdk", "velocity");
  const jars = join(cache, "packages", "usr", "share", "java");
  if (!existsSync(join(jars, "velocity.jar"))) {
    const fresh = join(cache, `new-${process.pid}`);
    mkdirSync(fresh, { recursive: true });
    const run = (command: string, args: string[]) =>
      execFileSync(command, args, { cwd: fresh, stdio: ["ignore", "ignore", "pipe"] });
    try {
      run("apt-get", ["download", ...PACKAGES]);
    } catch {
      // A fresh machine has no lists of packages yet.
      run("apt-get", ["update"]);
      run("apt-get", ["download", ...PACKAGES]);
    }
    for (const file of readdirSync(fresh).filter((it) => it.endsWith(".deb"))) run("dpkg", ["-x", file, "packages"]);
    rmSync(join(cache, "packages"), { recursive: true, force: true });
    renameSync(join(fresh, "packages"), join(cache, "packages"));
    rmSync(fresh, { recursive: true });
  }
  const libraries = ["velocity.jar", "commons-collections3.jar", "commons-lang.jar"].map((it) => join(jars, it));
  const source = join(root, "cdk", "test", "velocity", "Render.java");
  const classes = join(cache, "classes");
  const compiled = join(classes, "Render.class");
  if (!existsSync(compiled) || statSync(compiled).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(classes, { recursive: true });
    execFileSync("javac", ["-d", classes, "-cp", libraries.join(":"), source], { stdio: ["ignore", "ignore", "inherit"] });
  }
  return [classes, ...libraries].join(":");
}

export class Velocity {
  private readonly waiting: ((line: string) => void)[] = [];
  private constructor(private readonly child: ChildProcess) {
    createInterface({ input: child.stdout! }).on("line", (line) => this.waiting.shift()?.(line));
  }

  static start(root: string): Velocity {
    const child = spawn("java", ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", prepare(root), "Render"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    return new Velocity(child);
  }

  async render(it: Case): Promise<Rendered> {
    const pair = (key: string, value: string) => `${encode(key)}:${encode(value)}`;
    const line = [
      encode(it.template),
      it.body === undefined ? "-" : encode(it.body),
      it.document === undefined ? "-" : encode(it.document),
      ...(it.headers ?? []).map(([name, value]) => pair(`header:${name}`, value)),
      ...Object.entries(it.path ?? {}).map(([name, value]) => pair(`path:${name}`, value)),
      ...Object.entries(it.context ?? {}).map(([name, value]) => pair(`context:${name}`, value)),
    ].join(" ");
    const answer = await new Promise<string>((resolve) => {
      this.waiting.push(resolve);
      this.child.stdin!.write(`${line}\n`);
    });
    const [first = "", ...rest] = answer.split(" ");
    if (first === "error") throw new Error(`Velocity: ${decode(rest[0] ?? "")}`);
    const overrides = Object.fromEntries(rest.map((it) => it.split(":").map(decode) as [string, string]));
    return { output: decode(first), overrides };
  }

  stop(): void {
    this.child.stdin!.end();
  }
}
