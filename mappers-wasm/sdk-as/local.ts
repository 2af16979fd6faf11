// Numbers, dates and times as the vendor writes them, by what `[text]` of the contract declares, which `meta` has; and counts since
// 1970. The rules are those of `sluice_formats` (decimal.rs, date.rs), which the SDKs in Rust and C follow as well.
//
// What is not declared is read only where it has no second reading: `1.234` and `03/04/2026` are refused as `decimal_ambiguous` and
// `date_ambiguous`. A JSON number has a point whatever is declared. The readers of `value.ts` are for formats whose specification has
// one form.

import { Json, Kind, refuse } from "./json";
import { Buffer, Text, isDigit } from "./text";
import { dateDigits, daysOf, decimal, instant, isDay, leapSecond, minorOf, rfc3339, two, wholeOf } from "./value";

const DAY_SECONDS: i64 = 86400;
/** 2000-01-01T00:00:00Z: no message is older, so an earlier count is one of another unit. */
const EPOCH_SECONDS_MIN: i64 = 946684800;
/** 10000-01-01T00:00:00Z. */
const SECONDS_END: i64 = 253402300800;

/** A word of `text` in the metadata, by its first byte; 0 when it is not declared. */
function declared(meta: Json, name: string): u8 {
  const text = meta.get("text");
  const told = text ? text.get(name) : null;
  return told && told.kind == Kind.String && told.text.len > 0 ? told.text.byte(0) : 0;
}

function digitsAt(text: Text, at: i32): i32 {
  let end = at;
  while (end < text.len && isDigit(text.byte(end))) end++;
  return end - at;
}

function stands(text: Text, at: i32, mark: string, bytes: i32): bool {
  return at + bytes <= text.len && text.part(at, at + bytes).is(mark);
}

/** How many bytes the mark of groups has that stands at `at`; none: 0. */
function groupMark(text: Text, at: i32, grouping: u8): i32 {
  if (grouping == 0x2e || grouping == 0x2c) return i32(text.byte(at) == grouping);
  if (grouping == 0x20) {
    if (text.byte(at) == 0x20) return 1;
    if (stands(text, at, "\u00a0", 2)) return 2;
    return stands(text, at, "\u202f", 3) || stands(text, at, "\u2009", 3) ? 3 : 0;
  }
  if (grouping == 0x27) return text.byte(at) == 0x27 ? 1 : stands(text, at, "\u2019", 3) ? 3 : 0;
  return 0;
}

/** The number as -?digits[.digits]; null after a refusal with `invalid` or `decimal_ambiguous`. */
function plain(meta: Json, found: Json, invalid: string): Text | null {
  const text = found.text;
  if (found.kind == Kind.Number) return text;
  let mark = declared(meta, "decimal");
  let grouping = declared(meta, "grouping");
  let at = i32(text.len > 0 && text.byte(0) == 0x2d);
  const first = digitsAt(text, at);
  if (mark == 0) {
    // 1.234 and 12,000 are two numbers each; no group begins with 0.
    const end = at + first;
    const one = end < text.len && (text.byte(end) == 0x2e || text.byte(end) == 0x2c);
    const group = one && end + 4 == text.len && digitsAt(text, end + 1) == 3;
    if (group && first >= 1 && first <= 3 && text.byte(at) != 0x30) {
      const why = "is two numbers, by what its mark means: declare decimal and grouping in [text] of the contract";
      refuse(found, "", "decimal_ambiguous", why, text);
      return null;
    }
    mark = 0x2e;
    grouping = 0;
  }
  const out = new Buffer();
  out.push(text.part(0, at + first));
  let valid = first > 0;
  at += first;
  while (valid && at < text.len && text.byte(at) != mark) {
    const bytes = groupMark(text, at, grouping);
    valid = bytes > 0 && first <= 3 && digitsAt(text, at + bytes) == 3;
    if (!valid) break;
    out.push(text.part(at + bytes, at + bytes + 3));
    at += bytes + 3;
  }
  if (valid && at < text.len) {
    const fraction = digitsAt(text, at + 1);
    valid = fraction > 0 && at + 1 + fraction == text.len;
    out.byte(0x2e);
    out.push(text.part(at + 1, at + 1 + fraction));
  }
  if (valid) return out.text();
  refuse(found, "", invalid, "is not a decimal number in the form that [text] of the contract declares", text);
  return null;
}

/** A whole number of pieces; i64.MIN_VALUE when it is refused, as `whole` refuses or with `decimal_ambiguous`. */
export function localWhole(meta: Json, object: Json, name: string): i64 {
  const found = decimal(object, name);
  if (!found) return i64.MIN_VALUE;
  const text = plain(meta, found, "quantity_invalid");
  return text ? wholeOf(found, text) : i64.MIN_VALUE;
}

/** The same, and not below zero. Refuses `quantity_negative` too. */
export function localLevel(meta: Json, object: Json, name: string): i64 {
  const pieces = localWhole(meta, object, name);
  if (pieces >= 0 || pieces == i64.MIN_VALUE) return pieces;
  refuse(object, name, "quantity_negative", "is less than nothing");
  return i64.MIN_VALUE;
}

/** An amount in minor units; i64.MIN_VALUE when it is refused, as `minor` refuses or with `decimal_ambiguous`. */
export function localMinor(meta: Json, object: Json, name: string, exponent: i32): i64 {
  const found = decimal(object, name);
  if (!found) return i64.MIN_VALUE;
  const text = plain(meta, found, "amount_invalid");
  return text ? minorOf(found, text, exponent) : i64.MIN_VALUE;
}

/** The three numbers of a date, and how many digits each has. */
let numbers: StaticArray<i32> = new StaticArray<i32>(3);
let widths: StaticArray<i32> = new StaticArray<i32>(3);

function part(text: Text, at: i32, index: i32): bool {
  const digits = digitsAt(text, at);
  let number = 0;
  for (let i = 0; i < digits && i < 4; i++) number = number * 10 + (<i32>text.byte(at + i) - 0x30);
  numbers[index] = number;
  widths[index] = digits;
  return digits == 1 || digits == 2 || digits == 4;
}

/** One separator, the same twice, or eight digits without one. */
function parts(text: Text): bool {
  const first = digitsAt(text, 0);
  if (first == text.len) {
    if (text.len != 8) return false;
    const year = two(text, 0) * 100 + two(text, 2);
    const front = year >= 1900 && isDay(year, two(text, 4), two(text, 6));
    numbers[0] = front ? year : two(text, 0);
    numbers[1] = two(text, front ? 4 : 2);
    numbers[2] = front ? two(text, 6) : two(text, 4) * 100 + two(text, 6);
    widths[0] = front ? 4 : 2;
    widths[1] = 2;
    widths[2] = front ? 2 : 4;
    return true;
  }
  const separator = text.byte(first);
  if (separator != 0x2e && separator != 0x2f && separator != 0x2d && separator != 0x20) return false;
  let at = 0;
  let wide = 0;
  for (let i = 0; i < 3; i++) {
    if (i > 0 && (at >= text.len || text.byte(at++) != separator)) return false;
    if (!part(text, at, i)) return false;
    at += widths[i];
    wide += i32(widths[i] == 4);
  }
  return at == text.len && widths[1] <= 2 && wide <= 1;
}

const NO_DAY: i64 = i64.MIN_VALUE;
const TWO_DAYS: i64 = i64.MIN_VALUE + 1;

function dayBy(y: i32, m: i32, d: i32): i64 {
  let year = numbers[y];
  if (widths[y] == 2) year += year >= 70 ? 1900 : 2000;
  if (year < 1 || year > 9999 || !isDay(year, numbers[m], numbers[d])) return NO_DAY;
  return daysOf(year, numbers[m], numbers[d]);
}

function differ(one: i64, other: i64): bool {
  return one != NO_DAY && other != NO_DAY && one != other;
}

/** Days since 1970, NO_DAY or TWO_DAYS. `order` is the first letter of `dates`, or 0 when it is not declared. */
function dateDays(text: Text, order: u8): i64 {
  if (!parts(text)) return NO_DAY;
  if (widths[0] == 4) return order == 0 && text.len > 4 && text.byte(4) == 0x20 ? NO_DAY : dayBy(0, 1, 2);
  const last = widths[2] == 4;
  if (order == 0) {
    const dmy = dayBy(2, 1, 0);
    const mdy = dayBy(2, 0, 1);
    const ymd = last ? NO_DAY : dayBy(0, 1, 2);
    return differ(dmy, mdy) || differ(dmy, ymd) || differ(mdy, ymd) ? TWO_DAYS : NO_DAY;
  }
  if (order == 0x64) return dayBy(2, 1, 0);
  if (order == 0x6d) return dayBy(2, 0, 1);
  return order == 0x79 && !last ? dayBy(0, 1, 2) : NO_DAY;
}

/** The length of a blank at the end of `text`: U+0020, U+00A0 or U+202F. */
function blankBehind(text: Text): i32 {
  if (text.len >= 1 && text.byte(text.len - 1) == 0x20) return 1;
  if (stands(text, text.len - 2, "\u00a0", 2) && text.len >= 2) return 2;
  return text.len >= 3 && stands(text, text.len - 3, "\u202f", 3) ? 3 : 0;
}

/** What `localSeconds` found beside the seconds. */
let fractionOf: Text = new Text(0, 0);
let isLeap: bool = false;

/** `14:05`, `14:05:59.5`, `2:05 PM`: the second of the day; less than zero when it is none. */
function timeOfDay(whole: Text): i64 {
  let text = whole;
  let half: u8 = 0;
  if (text.len >= 2 && (text.byte(text.len - 1) | 0x20) == 0x6d) {
    half = text.byte(text.len - 2) | 0x20;
    if (half != 0x61 && half != 0x70) return -1;
    text = text.part(0, text.len - 2);
    for (let blank = blankBehind(text); blank > 0; blank = blankBehind(text)) text = text.part(0, text.len - blank);
  }
  let at = digitsAt(text, 0);
  if (at < 1 || at > 2) return -1;
  let hour = at == 2 ? two(text, 0) : <i32>text.byte(0) - 0x30;
  if (at == text.len || text.byte(at) != 0x3a || digitsAt(text, at + 1) != 2) return -1;
  const minute = two(text, at + 1);
  let second = 0;
  at += 3;
  fractionOf = text.part(at, at);
  if (at < text.len) {
    if (text.byte(at) != 0x3a || digitsAt(text, at + 1) != 2) return -1;
    second = two(text, at + 1);
    at += 3;
    if (at < text.len) {
      const digits = digitsAt(text, at + 1);
      if ((text.byte(at) != 0x2e && text.byte(at) != 0x2c) || digits < 1 || digits > 18) return -1;
      fractionOf = text.part(at + 1, at + 1 + digits);
      at += 1 + digits;
    }
  }
  if (at != text.len) return -1;
  if (half != 0) {
    if (hour < 1 || hour > 12) return -1;
    hour = (hour % 12) + (half == 0x70 ? 12 : 0);
  }
  if (hour > 23 || minute > 59 || second > 60) return -1;
  isLeap = second == 60;
  return <i64>(hour * 3600 + minute * 60 + second - i32(isLeap));
}

/** A date and a time of day, in seconds since 1970 on the clock there; NO_DAY or TWO_DAYS. */
function localSeconds(text: Text, order: u8): i64 {
  let colon = 0;
  while (colon < text.len && text.byte(colon) != 0x3a) colon++;
  if (colon == text.len) return NO_DAY;
  let hour = colon;
  while (hour > 0 && isDigit(text.byte(hour - 1))) hour--;
  let date = text.part(0, hour);
  let blank = blankBehind(date);
  if (date.len > 0 && (date.byte(date.len - 1) | 0x20) == 0x74) {
    date = date.part(0, date.len - 1);
  } else if (blank > 0) {
    for (; blank > 0; blank = blankBehind(date)) date = date.part(0, date.len - blank);
    if (date.len > 0 && date.byte(date.len - 1) == 0x2c) date = date.part(0, date.len - 1);
  } else {
    return NO_DAY;
  }
  const days = dateDays(date, order);
  if (days == NO_DAY || days == TWO_DAYS) return days;
  const second = timeOfDay(text.part(hour, text.len));
  return second < 0 ? NO_DAY : days * DAY_SECONDS + second;
}

function integer(value: Json | null): i64 {
  if (!value || value.kind != Kind.Number) return i64.MIN_VALUE;
  const text = value.text;
  const negative = text.byte(0) == 0x2d;
  let number: i64 = 0;
  for (let at = i32(negative); at < text.len; at++) number = number * 10 + <i64>(text.byte(at) - 0x30);
  return negative ? -number : number;
}

const SKIPPED: i64 = i64.MIN_VALUE;
const REPEATED: i64 = i64.MIN_VALUE + 1;
const OUT_OF_RANGE: i64 = i64.MIN_VALUE + 2;

/** UTC of a local time by `zone` of the metadata; or SKIPPED, REPEATED, OUT_OF_RANGE. */
function zoned(zone: Json, local: i64): i64 {
  const offsets = zone.get("offsets");
  const until = integer(zone.get("until"));
  if (!offsets || offsets.count == 0 || until == i64.MIN_VALUE) return OUT_OF_RANGE;
  let found = SKIPPED;
  let one = offsets.first;
  const start = one ? integer(one.first) : 0;
  const earliest = one && one.first ? integer((<Json>one.first).next) : 0;
  let offset: i64 = 0;
  while (one) {
    const from = integer(one.first);
    offset = one.first ? integer((<Json>one.first).next) : 0;
    const after = one.next;
    const end = after ? integer(after.first) : until;
    const at = local - offset;
    if (from <= at && at < end) {
      if (found != SKIPPED) return REPEATED;
      found = at;
    }
    one = after;
  }
  if (found != SKIPPED) return found;
  return local - earliest < start || local - offset >= until ? OUT_OF_RANGE : SKIPPED;
}

function twoDays(found: Json): void {
  const why = "is two days, by the order of day and month: declare dates in [text] of the contract";
  refuse(found, "", "date_ambiguous", why, found.text);
}

/** A day, as 2026-12-31. Refuses `date_invalid`, `date_ambiguous`. */
export function localDate(meta: Json, object: Json, name: string): Text | null {
  const found = object.need(name, Kind.String);
  if (!found) return null;
  const days = dateDays(found.text, declared(meta, "dates"));
  if (days == TWO_DAYS) {
    twoDays(found);
  } else if (days == NO_DAY) {
    const why = "is not a date in the order that [text] of the contract declares, or such as 2026-12-31";
    refuse(found, "", "date_invalid", why, found.text);
  } else {
    const out = new Buffer();
    dateDigits(out, days);
    return out.text();
  }
  return null;
}

/**
 * A date and a time of day in the contract's zone, or a time with an offset, as RFC 3339 in UTC. Refuses `timestamp_invalid`,
 * `date_ambiguous`, `zone_undeclared`, `time_skipped`, `time_repeated`, `time_out_of_range`.
 */
export function localTime(meta: Json, object: Json, name: string): Text | null {
  const found = object.need(name, Kind.String);
  if (!found) return null;
  const stated = instant(found.text);
  if (stated) return stated;
  const local = localSeconds(found.text, declared(meta, "dates"));
  if (local == TWO_DAYS) {
    twoDays(found);
    return null;
  }
  if (local == NO_DAY) {
    const why = "is not a date in the order that [text] of the contract declares and a time of day such as 14:05";
    refuse(found, "", "timestamp_invalid", why, found.text);
    return null;
  }
  const text = meta.get("text");
  const zone = text ? text.get("zone") : null;
  if (!zone) {
    const why = "does not say in which zone it is: declare zone in [text] of the contract, such as Europe/Berlin";
    refuse(found, "", "zone_undeclared", why, found.text);
    return null;
  }
  let seconds = zoned(zone, local);
  if (seconds > OUT_OF_RANGE && isLeap) {
    const last = leapSecond(seconds);
    if (last) fractionOf = last;
    else seconds = SKIPPED;
  }
  if (seconds == SKIPPED) {
    refuse(found, "", "time_skipped", "is a time that the clocks of the zone skip", found.text);
  } else if (seconds == REPEATED) {
    const why = "is a time that the clocks of the zone show twice, so that it is two instants";
    refuse(found, "", "time_repeated", why, found.text);
  } else {
    if (seconds != OUT_OF_RANGE) {
      const utc = rfc3339(seconds, fractionOf);
      if (utc) return utc;
    }
    const why = "is too far from when the message was received: the offsets of the zone are known for some years";
    refuse(found, "", "time_out_of_range", why, found.text);
  }
  return null;
}

/** Seconds since 1970-01-01T00:00:00Z, from a number or from text, with a fraction or without. Refuses `timestamp_invalid`, and
 * `timestamp_out_of_range` before 2000 or after 9999, as milliseconds are. */
export function epochSeconds(object: Json, name: string): Text | null {
  return epoch(object, name, 1);
}

/** The same in milliseconds; seconds are out of range. */
export function epochMillis(object: Json, name: string): Text | null {
  return epoch(object, name, 1000);
}

function epoch(object: Json, name: string, perSecond: i64): Text | null {
  const found = decimal(object, name);
  if (!found) return null;
  const text = found.text;
  const whole = digitsAt(text, 0);
  let fraction = text.part(whole, whole);
  let end = whole;
  if (perSecond == 1 && whole < text.len && text.byte(whole) == 0x2e) {
    fraction = text.part(whole + 1, whole + 1 + digitsAt(text, whole + 1));
    end = fraction.len == 0 ? whole : whole + 1 + fraction.len;
  }
  if (whole == 0 || end != text.len) {
    const unit = perSecond == 1 ? "seconds" : "milliseconds";
    refuse(found, "", "timestamp_invalid", "is not a number of " + unit + " since 1970", text);
    return null;
  }
  let count: i64 = 0;
  for (let at = 0; at < whole; at++) {
    if (count <= SECONDS_END * 1000) count = count * 10 + <i64>(text.byte(at) - 0x30);
  }
  const seconds = count / perSecond;
  if (seconds < EPOCH_SECONDS_MIN || seconds >= SECONDS_END) {
    const why = "since 1970 is before 2000 or after 9999: it is most likely another unit";
    refuse(found, "", "timestamp_out_of_range", why, text);
    return null;
  }
  if (perSecond == 1000) {
    const digits = new Buffer();
    const rest = <i32>(count % 1000);
    digits.byte(<u8>(0x30 + rest / 100));
    digits.two(rest % 100);
    fraction = digits.text();
  }
  return rfc3339(seconds, fraction);
}
