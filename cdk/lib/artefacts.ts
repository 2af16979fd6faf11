// The functions' programs: `target/lambda/<package>/bootstrap.zip`, as `cargo xtask package` builds them.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";
import { Code } from "aws-cdk-lib/aws-lambda";
import type { Architecture, Settings } from "./settings.ts";
import type { Fn } from "./topology.ts";

/** e_machine of an ELF header. */
const MACHINES: Record<number, Architecture> = { 62: "x86_64", 183: "arm64" };

export function code(settings: Settings, fn: Fn, architecture: Architecture): Code {
  if (settings.artefacts === "placeholder") return Code.fromAsset(placeholder(settings));
  const archive = join(settings.root, "target", "lambda", fn.package, "bootstrap.zip");
  if (!existsSync(archive)) {
    throw new Error(`${archive} is missing: run \`cargo xtask package\``);
  }
  const built = architectureOf(readFileSync(archive), archive);
  if (built !== architecture) {
    throw new Error(
      `${archive} was built for ${built}, and ${fn.name} is to run on ${architecture}: package it for that, or change the setting`,
    );
  }
  return Code.fromAsset(archive);
}

/** The architecture of the program `bootstrap` in a zip archive (APPNOTE.TXT 4.3), by its ELF header. */
export function architectureOf(zip: Buffer, name: string): Architecture {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const entries = end < 0 ? 0 : zip.readUInt16LE(end + 10);
  let at = end < 0 ? 0 : zip.readUInt32LE(end + 16);
  for (let index = 0; index < entries; index += 1) {
    const [method, size, nameLength, extra, comment] = [
      zip.readUInt16LE(at + 10),
      zip.readUInt32LE(at + 20),
      zip.readUInt16LE(at + 28),
      zip.readUInt16LE(at + 30),
      zip.readUInt16LE(at + 32),
    ];
    if (zip.toString("utf8", at + 46, at + 46 + nameLength) === "bootstrap") {
      const local = zip.readUInt32LE(at + 42);
      const data = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const bytes = zip.subarray(data, data + size);
      const program = method === 0 ? bytes : inflateRawSync(bytes);
      const machine = program.toString("latin1", 1, 4) === "ELF" ? MACHINES[program.readUInt16LE(18)] : undefined;
      if (!machine) throw new Error(`the bootstrap in ${name} is no program for x86_64 or arm64`);
      return machine;
    }
    at += 46 + nameLength + extra + comment;
  }
  throw new Error(`${name} has no file named bootstrap`);
}

function placeholder(settings: Settings): string {
  const path = join(settings.root, "target", "cdk", "placeholder", "bootstrap.zip");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(
    path,
    storedZip("bootstrap", Buffer.from("#!/bin/sh\necho 'a placeholder: run cargo xtask package' >&2\nexit 1\n")),
  );
  return path;
}

/** An archive of one executable file, uncompressed, the same bytes every time. */
export function storedZip(name: string, content: Buffer): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(33, 8); // 1980-01-01
  fields.writeUInt32LE(crc32(content), 10);
  fields.writeUInt32LE(content.length, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), fields, Buffer.from(name), content]);
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(0o100755 * 65_536, 6);
  const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), fields, tail, Buffer.from(name)]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, central, Buffer.from("PK\x05\x06", "latin1"), end]);
}
