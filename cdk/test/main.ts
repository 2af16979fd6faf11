// `npm test`, `npm test -- <part of a name>`. `SLUICE_BLESS=1` writes what is generated.

import { fullTopology } from "./full.ts";
import { run } from "./harness.ts";
import { settingsTests } from "./settings.test.ts";
import { iamDocumentTest, templateTests } from "./template.test.ts";
import { type Synthesized, synthesize } from "./templates.ts";
import { velocityTests } from "./velocity.test.ts";

function once(make: () => Synthesized): () => Synthesized {
  let made: Synthesized | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const plain = once(() => synthesize());
templateTests("templates", plain);
templateTests(
  "with every member of a topology",
  once(() => synthesize({}, fullTopology())),
);
iamDocumentTest(plain);
const stop = velocityTests(
  plain,
  once(() => synthesize({ corsOrigins: ["https://ops.example", "https://other.example"] })),
);
settingsTests();

const failed = await run(process.argv[2]);
stop();
process.exitCode = failed === 0 ? 0 : 1;
