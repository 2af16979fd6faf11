// What only looks like an identifier: as `sluice_formats::identifier` of the SDK in Rust.

import { Text, bytesOf, isBlank, isDigit } from "./text";

/** Why the last text that was asked about is no identifier. */
export let spoiltWhy: string = "";

/** The code of the refusal when a text without blanks around it is no identifier, else "". */
export function spoilt(text: Text): string {
  for (let at = 0; at < text.len; ) {
    const code = text.character(at);
    if (isInvisible(code)) return because("identifier_invisible", "has a character that cannot be seen");
    at += bytesOf(code);
  }
  if (isScientific(text)) {
    return because(
      "identifier_scientific",
      "is a number in scientific notation, as a spreadsheet writes it: its digits are lost",
    );
  }
  if (isErrorValue(text)) return because("identifier_error_value", "is an error value of a spreadsheet");
  if (text.len > 0 && (text.byte(0) == 0x27 || text.byte(0) == 0x3d)) {
    return because("identifier_marked", "begins with a mark for a spreadsheet");
  }
  if (isNothing(text)) return because("identifier_nothing", "is a word for nothing");
  return "";
}

function because(code: string, why: string): string {
  spoiltWhy = why;
  return code;
}

/** Control characters, and of those that are ignored when text is shown the ones that occur. */
function isInvisible(code: i32): bool {
  return (
    code < 0x20 ||
    (code >= 0x7f && code <= 0x9f) ||
    code == 0xad ||
    code == 0x61c ||
    code == 0x180e ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    code == 0xfeff
  );
}

function digitsFrom(text: Text, at: i32): i32 {
  let count = 0;
  while (at + count < text.len && isDigit(text.byte(at + count))) count++;
  return count;
}

/** `4.00638E+12`, `1,23E+15`, `4E+12`, `4.00638E12`; not `4E12`, which may be a number of an article. */
function isScientific(text: Text): bool {
  let at = i32(text.len > 0 && (text.byte(0) == 0x2b || text.byte(0) == 0x2d));
  const whole = digitsFrom(text, at);
  if (whole < 1 || whole > 3) return false;
  at += whole;
  const point = at < text.len && (text.byte(at) == 0x2e || text.byte(at) == 0x2c);
  if (point) {
    const fraction = digitsFrom(text, ++at);
    if (fraction == 0) return false;
    at += fraction;
  }
  if (at >= text.len || (text.byte(at) | 0x20) != 0x65) return false;
  at++;
  const sign: u8 = at < text.len ? text.byte(at) : 0;
  if (sign == 0x2b || sign == 0x2d) at++;
  const power = digitsFrom(text, at);
  return power >= 1 && power <= 3 && at + power == text.len && (point || sign == 0x2b);
}

/** The error value of a spreadsheet's cell: `#N/A`, `#REF!`, `#NAME?`, `####`. Letters outside ASCII are taken for capitals. */
function isErrorValue(text: Text): bool {
  if (text.len == 0 || text.byte(0) != 0x23) return false;
  if (text.is("#N/A") || text.is("#NV") || text.is("#N/V") || text.is("#\u041d/\u0414")) return true;
  const last = text.byte(text.len - 1);
  let all = true;
  let word = text.len > 2 && (last == 0x21 || last == 0x3f);
  for (let i = 1; i < text.len; i++) {
    const byte = text.byte(i);
    if (byte != 0x23) all = false;
    if ((byte >= 0x61 && byte <= 0x7a) || isBlank(byte)) word = false;
  }
  return all || word;
}

/** What programs write where there is nothing; exactly so. */
function isNothing(text: Text): bool {
  return (
    text.is("-") ||
    text.is("--") ||
    text.is("\u2013") ||
    text.is("\u2014") ||
    text.is("N/A") ||
    text.is("n/a") ||
    text.is("NULL") ||
    text.is("null") ||
    text.is("(null)") ||
    text.is("None") ||
    text.is("NaN") ||
    text.is("nan") ||
    text.is("undefined") ||
    text.is("[object Object]")
  );
}
