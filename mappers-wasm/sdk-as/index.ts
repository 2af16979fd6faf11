// What a mapper in AssemblyScript is written with: the ABI of `wit/mapper.wit`, a strict JSON reader that loses no digit, a JSON
// writer, exact money, quantities and times, and refusals that say where.
//
// A mapper's `src/index.ts` exports the ABI and hands its own function to it:
//
//     import { Json, Kind, Text, eventBegin, eventEnd, parse, putText, run, utc } from "sdk-as";
//     export { cabi_realloc } from "sdk-as";
//
//     export function map(meta: usize, metaLen: i32, payload: usize, payloadLen: i32): usize {
//       return run(meta, metaLen, payload, payloadLen, (meta: Json, payload: Text): bool => {
//         const message = parse(payload);
//         if (!message) return false;
//         const device = message.id("device");
//         if (!device) return false;
//         const at = utc(meta, "occurredAt");
//         if (!at) return false;
//         eventBegin("DeviceSeen", "1.0", at);
//         putText("deviceId", device);
//         eventEnd();
//         return true;
//       });
//     }
//
// Build by `sluice mapper build`, which tells the compiler where `sdk-as` is (`--path mappers-wasm`), with the `asconfig.json` of a bundle: the stub runtime (an instance lives for one call, nothing is collected), no import of
// `abort` (a failed assertion is a trap), and the start function exported as `_initialize`.

import { Json, nothing, parse, refusal, refuse } from "./json";
import { Text } from "./text";
import { hasEvents, written } from "./write";

export { Json, Kind, parse, refusal, refuse, stateNothing } from "./json";
export { Buffer, Text } from "./text";
export { epochMillis, epochSeconds, localDate, localLevel, localMinor, localTime, localWhole } from "./local";
export { EXACT_MAX, currencyExponent, level, minor, utc, whole } from "./value";
export {
  arrayBegin,
  arrayEnd,
  eventBegin,
  eventEnd,
  note,
  objectBegin,
  objectEnd,
  putBool,
  putInteger,
  putKnown,
  putNull,
  putText,
  putWord,
} from "./write";

/** Where the host puts the metadata and the payload. Blocks of the stub runtime are aligned to 16 bytes. */
export function cabi_realloc(old: usize, oldLen: usize, align: usize, newLen: usize): usize {
  const block = heap.alloc(newLen);
  if (oldLen > 0) memory.copy(block, old, min(oldLen, newLen));
  return block;
}

/** Runs a mapper, and returns where its result is: a discriminant, a pointer and a length. */
export function run(
  meta: usize,
  metaLen: i32,
  payload: usize,
  payloadLen: i32,
  mapper: (meta: Json, payload: Text) => bool,
): usize {
  const known = parse(new Text(meta, metaLen));
  let mapped = known != null && mapper(known, new Text(payload, payloadLen));
  if (mapped && nothing != null && hasEvents()) {
    mapped = refuse(null, "", "events_and_nothing", "the mapper wrote events and says that nothing is stated");
  }
  if (!mapped) refuse(null, "", "refused", "the mapper gave no reason");
  const out = !mapped ? <Text>refusal : nothing != null ? <Text>nothing : written();
  const result = heap.alloc(12);
  store<u8>(result, mapped ? 0 : 1);
  store<u32>(result, <u32>out.at, 4);
  store<u32>(result, <u32>out.len, 8);
  return result;
}
