// Exact money, quantities and times, without floats.

import { Json, Kind, refuse } from "./json";
import { Buffer, Text, isDigit } from "./text";

/** 2^53 - 1: the largest integer, either side of zero, that every JSON reader has exactly. */
export const EXACT_MAX: i64 = 9007199254740991;

const enum Scaled {
  Exact,
  Invalid,
  TooPrecise,
  OutOfRange,
}

/** What `scale` found. */
let scaledTo: i64 = 0;

/** Decimal text times ten to the power of `exponent`: -?digits[.digits], exactly. */
function scale(text: Text, exponent: i32): Scaled {
  const negative = text.len > 0 && text.byte(0) == 0x2d;
  const whole = i32(negative);
  let total: i64 = 0;
  let places = -1;
  let tooLarge = false;
  let tooPrecise = false;
  for (let at = whole; at < text.len; at++) {
    const byte = text.byte(at);
    if (byte == 0x2e && places < 0 && at > whole) {
      places = 0;
      continue;
    }
    if (!isDigit(byte)) return Scaled.Invalid;
    if (places >= 0 && places++ >= exponent) {
      tooPrecise = tooPrecise || byte != 0x30;
      continue;
    }
    total = total * 10 + <i64>(byte - 0x30);
    if (total > EXACT_MAX) {
      tooLarge = true;
      total = 0;
    }
  }
  if (text.len == whole || text.byte(text.len - 1) == 0x2e) return Scaled.Invalid;
  if (tooPrecise) return Scaled.TooPrecise;
  for (let place = max(places, 0); place < exponent; place++) {
    total *= 10;
    if (total > EXACT_MAX) {
      tooLarge = true;
      total = 0;
    }
  }
  if (tooLarge) return Scaled.OutOfRange;
  scaledTo = negative ? -total : total;
  return Scaled.Exact;
}

/** The integer that a JSON number is, if JSON Schema calls it one: 2, 2.0, 2e0 and 20e-1 are two (2020-12, validation, 6.1.1). */
function integral(text: Text): Scaled {
  const negative = text.byte(0) == 0x2d;
  let end = 0;
  let places = 0;
  let count = 0;
  let fraction = false;
  let nonzero = false;
  for (; end < text.len && (text.byte(end) | 0x20) != 0x65; end++) {
    const byte = text.byte(end);
    if (byte == 0x2e) fraction = true;
    if (!isDigit(byte)) continue;
    count++;
    places += i32(fraction);
    nonzero = nonzero || byte != 0x30;
  }
  scaledTo = 0;
  if (!nonzero) return Scaled.Exact;
  let power: i64 = 0;
  let at = end + 1;
  const below = at < text.len && text.byte(at) == 0x2d;
  if (at < text.len && !isDigit(text.byte(at))) at++;
  for (; at < text.len; at++) {
    if (power < 1000000000) power = power * 10 + <i64>(text.byte(at) - 0x30);
  }
  let shift = (below ? -power : power) - <i64>places;
  const kept: i64 = shift < 0 ? <i64>count + shift : <i64>count;
  let total: i64 = 0;
  let seen: i64 = 0;
  let tooLarge = false;
  for (let i = 0; i < end; i++) {
    const byte = text.byte(i);
    if (!isDigit(byte)) continue;
    if (seen++ >= kept) {
      if (byte != 0x30) return Scaled.TooPrecise;
    } else if (!tooLarge) {
      total = total * 10 + <i64>(byte - 0x30);
      tooLarge = total > EXACT_MAX;
    }
  }
  for (; shift > 0 && !tooLarge; shift--) {
    total *= 10;
    tooLarge = total > EXACT_MAX;
  }
  if (tooLarge) return Scaled.OutOfRange;
  scaledTo = negative ? -total : total;
  return Scaled.Exact;
}

export function decimal(object: Json, name: string): Json | null {
  const found = object.there(name);
  if (!found) return null;
  if (found.kind == Kind.Number || found.kind == Kind.String) return found.isText() ? found : null;
  refuse(found, "", "payload_invalid", "a decimal number is a string or a number");
  return null;
}

/**
 * A whole number of pieces within ±EXACT_MAX, from a number that JSON Schema calls an integer (`12`, `12.0`, `12e0`) or from
 * decimal text (`"12"`, `"12.000"`); i64.MIN_VALUE when it is refused with
 * `quantity_invalid`, `quantity_fraction` or `quantity_out_of_range`.
 */
export function whole(object: Json, name: string): i64 {
  const found = decimal(object, name);
  return found ? wholeOf(found, found.text) : i64.MIN_VALUE;
}

/** What stands at `found` is `text`, as a decimal with a point. */
export function wholeOf(found: Json, text: Text): i64 {
  switch (found.kind == Kind.Number ? integral(text) : scale(text, 0)) {
    case Scaled.Exact:
      return scaledTo;
    case Scaled.Invalid:
      refuse(found, "", "quantity_invalid", "is not a decimal number", found.text);
      break;
    case Scaled.TooPrecise:
      refuse(found, "", "quantity_fraction", "is not a whole number of pieces", found.text);
      break;
    default:
      refuse(found, "", "quantity_out_of_range", "is more than 2^53 - 1", found.text);
  }
  return i64.MIN_VALUE;
}

/** The same, and not below zero. Refuses `quantity_negative` too. */
export function level(object: Json, name: string): i64 {
  const pieces = whole(object, name);
  if (pieces >= 0 || pieces == i64.MIN_VALUE) return pieces;
  refuse(object, name, "quantity_negative", "is less than nothing");
  return i64.MIN_VALUE;
}

/**
 * An amount in minor units, exactly; i64.MIN_VALUE when it is refused with `amount_invalid`, `amount_too_precise` or
 * `amount_out_of_range`.
 */
export function minor(object: Json, name: string, exponent: i32): i64 {
  const found = decimal(object, name);
  return found ? minorOf(found, found.text, exponent) : i64.MIN_VALUE;
}

/** As `wholeOf`. */
export function minorOf(found: Json, text: Text, exponent: i32): i64 {
  switch (scale(text, exponent)) {
    case Scaled.Exact:
      return scaledTo;
    case Scaled.Invalid:
      refuse(found, "", "amount_invalid", "is not a decimal number", found.text);
      break;
    case Scaled.TooPrecise:
      refuse(found, "", "amount_too_precise", "has more decimal places than the currency", found.text);
      break;
    default:
      refuse(found, "", "amount_out_of_range", "is too large", found.text);
  }
  return i64.MIN_VALUE;
}

// ISO 4217:2015, list one and what list three withdrew since 2020, without metals, tests and funds: as the SDK in Rust.
const EXPONENT_0: string = "BIFCLPDJFGNFISKJPYKMFKRWPYGRWFUGXUYIVNDVUVXAFXOFXPF";
const EXPONENT_3: string = "BHDIQDJODKWDLYDOMRTND";
const EXPONENT_4: string = "CLFUYW";
const EXPONENT_2: string =
  "AEDAFNALLAMDANGAOAARSAUDAWGAZNBAMBBDBDTBGNBMDBNDBOBBOVBRLBSDBTNBWPBYNBZDCADCDFCHECHFCHWCNYCOPCOUCRCCUCCUPCVECZKDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGTQGYDHKDHNLHRKHTGHUFIDRILSINRIRRJMDKESKGSKHRKPWKYDKZTLAKLBPLKRLRDLSLMADMDLMGAMKDMMKMNTMOPMRUMURMVRMWKMXNMXVMYRMZNNADNGNNIONOKNPRNZDPABPENPGKPHPPKRPLNQARRONRSDRUBSARSBDSCRSDGSEKSGDSHPSLESLLSOSSRDSSPSTNSVCSYPSZLTHBTJSTMTTOPTRYTTDTWDTZSUAHUSDUSNUYUUZSVEDVESWSTXADXCDXCGYERZARZMWZWGZWL";

function within(codes: string, code: Text): bool {
  for (let at = 0; at < codes.length; at += 3) {
    if (
      codes.charCodeAt(at) == <i32>code.byte(0) &&
      codes.charCodeAt(at + 1) == <i32>code.byte(1) &&
      codes.charCodeAt(at + 2) == <i32>code.byte(2)
    ) {
      return true;
    }
  }
  return false;
}

/** The exponent of a currency in ISO 4217, or -1 when the code is of no currency. */
export function currencyExponent(code: Text): i32 {
  if (code.len != 3) return -1;
  if (within(EXPONENT_2, code)) return 2;
  if (within(EXPONENT_0, code)) return 0;
  if (within(EXPONENT_3, code)) return 3;
  return within(EXPONENT_4, code) ? 4 : -1;
}

/** An RFC 3339 time with an offset, as RFC 3339 in UTC. A leap second becomes the last nanosecond before it. Refuses
 * `timestamp_invalid`. */
export function utc(object: Json, name: string): Text | null {
  const found = object.need(name, Kind.String);
  if (!found) return null;
  const at = instant(found.text);
  if (!at) refuse(found, "", "timestamp_invalid", "is not an RFC 3339 time with an offset", found.text);
  return at;
}

/** Two digits, or less than zero. */
export function two(text: Text, at: i32): i32 {
  if (at + 2 > text.len || !isDigit(text.byte(at)) || !isDigit(text.byte(at + 1))) return -1;
  return (<i32>text.byte(at) - 0x30) * 10 + (<i32>text.byte(at + 1) - 0x30);
}

export function isDay(year: i32, month: i32, day: i32): bool {
  if (month < 1 || month > 12 || day < 1) return false;
  if (month == 2) return day <= ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28);
  return day <= (month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31);
}

// Days since 1970-01-01 of the proleptic Gregorian calendar, and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

export function daysOf(year: i32, month: i32, day: i32): i64 {
  const shifted = year - i32(month <= 2);
  const era = (shifted >= 0 ? shifted : shifted - 399) / 400;
  const ofEra = shifted - era * 400;
  const ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return <i64>era * 146097 + <i64>(ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear) - 719468;
}

/** Writes a day, as 2026-12-31. False, and nothing written, when its year has more than four digits. */
export function dateDigits(out: Buffer, since1970: i64): bool {
  const days = since1970 + 719468;
  const era = (days >= 0 ? days : days - 146096) / 146097;
  const ofEra = <i32>(days - era * 146097);
  const years = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146096) / 365;
  const ofYear = ofEra - (365 * years + years / 4 - years / 100);
  const shifted = (5 * ofYear + 2) / 153;
  const day = ofYear - (153 * shifted + 2) / 5 + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = years + <i32>era * 400 + i32(month <= 2);
  if (year < 0 || year > 9999) return false;
  out.two(year / 100);
  out.two(year % 100);
  out.put("-");
  out.two(month);
  out.put("-");
  out.two(day);
  return true;
}

/** Seconds since 1970 in UTC and the digits of a fraction, without zeros at its end; null beyond year 9999. */
export function rfc3339(seconds: i64, fraction: Text): Text | null {
  const days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
  const second = <i32>(seconds - days * 86400);
  const out = new Buffer();
  if (!dateDigits(out, days)) return null;
  out.put("T");
  out.two(second / 3600);
  out.put(":");
  out.two((second / 60) % 60);
  out.put(":");
  out.two(second % 60);
  let to = min(fraction.len, 9);
  while (to > 0 && fraction.byte(to - 1) == 0x30) to--;
  if (to > 0) {
    out.put(".");
    out.push(fraction.part(0, to));
  }
  out.put("Z");
  return out.text();
}

/** The fraction of a leap second, which is the last of a month in UTC; `seconds` is the one before it. */
export function leapSecond(seconds: i64): Text | null {
  if ((seconds + 1) % 86400 != 0) return null;
  const next = new Buffer();
  if (!dateDigits(next, (seconds + 1) / 86400) || !next.text().part(8, 10).is("01")) return null;
  return Text.of("999999999");
}

export function instant(text: Text): Text | null {
  if (text.len < 20) return null;
  const century = two(text, 0);
  let year = two(text, 2);
  const month = two(text, 5);
  const day = two(text, 8);
  const hour = two(text, 11);
  const minute = two(text, 14);
  const second = two(text, 17);
  if (century < 0 || year < 0 || hour < 0 || minute < 0 || second < 0) return null;
  if (text.byte(4) != 0x2d || text.byte(7) != 0x2d || (text.byte(10) | 0x20) != 0x74) return null;
  if (text.byte(13) != 0x3a || text.byte(16) != 0x3a || hour > 23 || minute > 59 || second > 60) return null;
  year += century * 100;
  if (!isDay(year, month, day)) return null;

  let at = 19;
  let fraction = text.part(at, at);
  if (text.byte(at) == 0x2e) {
    const from = ++at;
    while (at < text.len && isDigit(text.byte(at))) at++;
    if (at == from) return null;
    fraction = text.part(from, at);
  }
  const leap = second == 60;
  let seconds = daysOf(year, month, day) * 86400 + <i64>(hour * 3600 + minute * 60 + second - i32(leap));
  if (at < text.len && (text.byte(at) | 0x20) == 0x7a) {
    if (at + 1 != text.len) return null;
  } else {
    if (at + 6 != text.len || text.byte(at + 3) != 0x3a) return null;
    const sign = text.byte(at);
    const hours = two(text, at + 1);
    const rest = two(text, at + 4);
    if ((sign != 0x2b && sign != 0x2d) || hours < 0 || hours > 23 || rest < 0 || rest > 59) return null;
    seconds += <i64>((sign == 0x2b ? -1 : 1) * (hours * 3600 + rest * 60));
  }
  if (leap) {
    const last = leapSecond(seconds);
    if (!last) return null;
    fraction = last;
  }
  return rfc3339(seconds, fraction);
}
