// Writing events. Members of `data` stand in the order in which they are put.

import { Json, say } from "./json";
import { Buffer, Text } from "./text";

const out: Buffer = new Buffer();
/** An item stands before, so a comma comes first. */
let begun: bool = false;

function item(name: string): void {
  if (begun) out.byte(0x2c);
  begun = true;
  if (name.length == 0) return;
  out.byte(0x22);
  out.put(name);
  out.put('":');
}

function open(name: string, bracket: u8): void {
  item(name);
  out.byte(bracket);
  begun = false;
}

function shut(bracket: u8): void {
  out.byte(bracket);
  begun = true;
}

export function eventBegin(eventType: string, schemaVersion: string, occurredAt: Text): void {
  if (out.len == 0) out.byte(0x5b);
  open("", 0x7b);
  putText("eventType", Text.of(eventType));
  putText("schemaVersion", Text.of(schemaVersion));
  putText("occurredAt", occurredAt);
  open("data", 0x7b);
}

export function eventEnd(): void {
  shut(0x7d);
  if (noted > NOTES_MAX) {
    notes.len = notesButLast;
    notes.put(',{"code":"notes_more","path":"","message":"');
    notes.integer(noted - (NOTES_MAX - 1));
    notes.put(' more details were left out"}');
  }
  if (noted > 0) {
    out.put(',"notes":[');
    out.push(notes.text());
    out.byte(0x5d);
  }
  notes.len = 0;
  noted = 0;
  shut(0x7d);
}

/** Most notes of one event; what is beyond is counted in the last. */
const NOTES_MAX: i32 = 16;
const notes: Buffer = new Buffer();
/** How many notes the event that is begun has. */
let noted: i32 = 0;
/** Where the last note that there is room for begins. */
let notesButLast: i32 = 0;

/**
 * Notes what the message states and the event that is begun leaves out: an optional detail that cannot be read, or that no member of
 * the canonical type is for. The same arguments as of a refusal; the note is kept with the event.
 */
export function note(at: Json | null, member: string, code: string, why: string, quoted: Text | null = null): void {
  if (++noted > NOTES_MAX) return;
  if (noted == NOTES_MAX) notesButLast = notes.len;
  if (noted > 1) notes.byte(0x2c);
  say(notes, at, member, code, why, quoted);
}

export function putText(name: string, text: Text): void {
  item(name);
  out.quote(text);
}

/** An ASCII literal. */
export function putWord(name: string, word: string): void {
  putText(name, Text.of(word));
}

/** Nothing when there is no text. */
export function putKnown(name: string, text: Text | null): void {
  if (text) putText(name, text);
}

export function putInteger(name: string, number: i64): void {
  item(name);
  out.integer(number);
}

export function putBool(name: string, value: bool): void {
  item(name);
  out.put(value ? "true" : "false");
}

export function putNull(name: string): void {
  item(name);
  out.put("null");
}

/** `name` is "" for an item of an array. */
export function objectBegin(name: string): void {
  open(name, 0x7b);
}

export function objectEnd(): void {
  shut(0x7d);
}

export function arrayBegin(name: string): void {
  open(name, 0x5b);
}

export function arrayEnd(): void {
  shut(0x5d);
}

/** Whether an event was begun. */
export function hasEvents(): bool {
  return out.len > 0;
}

/** All events, as the host takes them. */
export function written(): Text {
  if (out.len == 0) out.byte(0x5b);
  out.byte(0x5d);
  return out.text();
}
