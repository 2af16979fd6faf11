// `npm test`, `npm test -- <part of a name>`.

import { run } from "./harness.ts";
import { type Synthesized, synthesize } from "./templates.ts";
import { velocityTests } from "./velocity.test.ts";

function once(make: () => Synthesized): () => Synthesized {
  let made: Synthesized | undefined;
  return () => (made ??= make());
}

const plain = once(() => synthesize());
const withCors = once(() => synthesize({ corsOrigins: ["https://ops.example", "https://other.example"] }));
velocityTests(plain, withCors);

process.exitCode = (await run(process.argv[2])) === 0 ? 0 : 1;
