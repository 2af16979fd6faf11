// A strict JSON reader that loses no digit, and refusals that say where.
//
// Every function that can refuse returns null (or false) after it has noted the refusal; the first one stands. A mapper returns
// false at once.

import { spoilt, spoiltWhy } from "./identifier";
import { Buffer, Text, isBlank, isDigit } from "./text";

export const enum Kind {
  Null,
  Bool,
  Number,
  String,
  Array,
  Object,
}

/** Deepest nesting that is read. */
const DEPTH_MAX: i32 = 64;
/** Longest identifier, in bytes. */
const ID_BYTES_MAX: i32 = 256;
const PATH_BYTES_MAX: i32 = 512;
const MESSAGE_BYTES_MAX: i32 = 1024;

/** The JSON of the refusal, once there is one. */
export let refusal: Text | null = null;

/** A refusal under way: its message is written to it. */
const message: Buffer = new Buffer();

/**
 * Notes a refusal and returns false. `at` is where in the payload (null: the whole), `member` a member of it or "", `code` a
 * snake_case constant. `quoted`, what the vendor sent, stands in quotes before `why`.
 */
export function refuse(at: Json | null, member: string, code: string, why: string, quoted: Text | null = null): bool {
  if (refusal != null) return false;
  const out = new Buffer();
  say(out, at, member, code, why, quoted);
  refusal = out.text();
  return false;
}

/** Writes what is said of a place, as a refusal and a note are. */
export function say(out: Buffer, at: Json | null, member: string, code: string, why: string, quoted: Text | null): void {
  const path = new Buffer();
  if (at) at.pointer(path);
  if (member.length > 0) step(path, Text.of(member));
  message.len = 0;
  said(message, why, quoted);
  out.put('{"code":');
  out.quote(Text.of(code));
  out.put(',"path":');
  out.quote(path.bounded(PATH_BYTES_MAX));
  out.put(',"message":');
  out.quote(message.bounded(MESSAGE_BYTES_MAX));
  out.put("}");
}

/** The JSON that says why nothing is stated, once there is one. */
export let nothing: Text | null = null;

/**
 * Says that the message is understood and states nothing, such as a draft, and returns true. `code` is a snake_case constant;
 * `quoted`, what the vendor sent, stands in quotes before `why`. A mapper that writes events as well is refused.
 */
export function stateNothing(code: string, why: string, quoted: Text | null = null): bool {
  if (nothing != null) return true;
  const reason = new Buffer();
  said(reason, why, quoted);
  const out = new Buffer();
  out.put('{"nothing":{"code":');
  out.quote(Text.of(code));
  out.put(',"message":');
  out.quote(reason.bounded(MESSAGE_BYTES_MAX));
  out.put("}}");
  nothing = out.text();
  return true;
}

function said(out: Buffer, why: string, quoted: Text | null): void {
  if (quoted) {
    out.byte(0x22);
    out.push(quoted);
    out.put('" ');
  }
  out.put(why);
}

function step(path: Buffer, key: Text): void {
  path.byte(0x2f);
  for (let i = 0; i < key.len; i++) {
    const byte = key.byte(i);
    if (byte == 0x7e) path.put("~0");
    else if (byte == 0x2f) path.put("~1");
    else path.byte(byte);
  }
}

/** A JSON value. `text` is a string without its escapes, a number as it was sent, or true and false. */
export class Json {
  kind: Kind = Kind.Null;
  /**
   * An escape in the string is half of a surrogate pair, which is no character: RFC 8259 allows it (section 8.2), so a member that
   * nobody reads may have it. The methods below refuse it in one that they read.
   */
  half: bool = false;
  text: Text = new Text(0, 0);
  key: Text = new Text(0, 0);
  index: i32 = 0;
  count: i32 = 0;
  first: Json | null = null;
  next: Json | null = null;

  constructor(public parent: Json | null) {}

  /** RFC 6901. */
  pointer(path: Buffer): void {
    const parent = this.parent;
    if (!parent) return;
    parent.pointer(path);
    if (parent.kind == Kind.Object) {
      step(path, this.key);
    } else {
      path.byte(0x2f);
      path.integer(this.index);
    }
  }

  /** A member, or null when it is absent or null. Of one that is there twice this gives the last; the others refuse. */
  get(name: string): Json | null {
    let found: Json | null = null;
    let one = this.first;
    while (one) {
      const here: Json = one;
      if (here.key.is(name)) found = here.kind == Kind.Null ? null : here;
      one = here.next;
    }
    return this.kind == Kind.Object ? found : null;
  }

  /** Whether a member is there once at most, as a member of an object. Refuses `payload_invalid`. */
  private once(name: string): bool {
    if (this.kind != Kind.Object) return refuse(this, "", "payload_invalid", "is " + kindName(this.kind) + ", not an object");
    let found = false;
    let one = this.first;
    while (one) {
      const here: Json = one;
      if (here.key.is(name)) {
        if (found) return refuse(here, "", "payload_invalid", "is there twice");
        found = true;
      }
      one = here.next;
    }
    return true;
  }

  /** A member that must be there, once, of any kind but null. Refuses `payload_invalid`. */
  there(name: string): Json | null {
    if (!this.once(name)) return null;
    const found = this.get(name);
    if (!found) refuse(this, name, "payload_invalid", "is missing or null");
    return found;
  }

  /** The same, of a kind. Refuses `payload_invalid`. */
  need(name: string, kind: Kind): Json | null {
    const found = this.there(name);
    if (!found) return null;
    if (found.kind == kind) return found.isText() ? found : null;
    refuse(found, "", "payload_invalid", "is " + kindName(found.kind) + ", not " + kindName(kind));
    return null;
  }

  /** Whether every escape of it is a character. Refuses `payload_invalid`. */
  isText(): bool {
    return !this.half || refuse(this, "", "payload_invalid", "has half a surrogate pair, which is no character");
  }

  private isWhole(): bool {
    let whole = this.kind == Kind.Number;
    for (let i = 0; whole && i < this.text.len; i++) {
      const byte = this.text.byte(i);
      whole = isDigit(byte) || byte == 0x2d;
    }
    return whole;
  }

  /** Whether a member is there and says something: it is neither null nor blank text. */
  has(name: string): bool {
    const found = this.get(name);
    return found != null && (found.kind != Kind.String || found.text.trimmed().len > 0);
  }

  /**
   * Text of a member, a string or an integer of any size, without the blanks around it; null when it is absent, null or blank. Refuses
   * `payload_invalid`: ask `refusal`.
   */
  label(name: string): Text | null {
    if (!this.once(name)) return null;
    const found = this.get(name);
    if (!found) return null;
    if (found.kind != Kind.String && !found.isWhole()) {
      refuse(found, "", "payload_invalid", "text is a string or an integer");
      return null;
    }
    if (!found.isText()) return null;
    const text = found.text.trimmed();
    return text.len > 0 ? text : null;
  }

  /**
   * An identifier without the blanks around it, of at most `charsMax` characters. Refuses what `id` does, `identifier_blank` and
   * `identifier_too_long`.
   */
  identifier(name: string, charsMax: i32): Text | null {
    if (this.get(name) && !this.has(name)) {
      refuse(this, name, "identifier_blank", "is blank");
      return null;
    }
    const text = this.id(name);
    if (!text) return null;
    if (text.chars() > charsMax) {
      refuse(this, name, "identifier_too_long", "is too long");
      return null;
    }
    return text;
  }

  /**
   * An identifier: a string, or an integer of any size, whose every digit is kept. What a spreadsheet or an exporter made of one, such as
   * `4.00638E+12`, `#N/A` or `NULL`, is none. Refuses `payload_invalid`, `identifier_scientific`, `identifier_error_value`,
   * `identifier_marked`, `identifier_nothing`, `identifier_invisible`.
   */
  id(name: string): Text | null {
    const found = this.there(name);
    if (!found) return null;
    if (found.kind != Kind.String && !found.isWhole()) {
      refuse(found, "", "payload_invalid", "an identifier is a string or an integer");
      return null;
    }
    const text = found.text.trimmed();
    if (text.len == 0 || text.len > ID_BYTES_MAX) {
      refuse(found, "", "payload_invalid", "an identifier has 1 to 256 bytes that are not blank");
      return null;
    }
    if (!found.isText()) return null;
    const code = spoilt(text);
    if (code.length > 0) {
      refuse(found, "", code, spoiltWhy, text);
      return null;
    }
    return text;
  }

  /** Text of a member, null when it is absent, null or blank. Refuses `payload_invalid`: ask `refusal`. */
  known(name: string): Text | null {
    if (!this.once(name)) return null;
    const found = this.get(name);
    if (!found) return null;
    if (found.kind != Kind.String) {
      refuse(found, "", "payload_invalid", "is " + kindName(found.kind) + ", not a string");
      return null;
    }
    if (!found.isText()) return null;
    return found.text.trimmed().len > 0 ? found.text : null;
  }
}

function kindName(kind: Kind): string {
  switch (kind) {
    case Kind.Null:
      return "null";
    case Kind.Bool:
      return "a boolean";
    case Kind.Number:
      return "a number";
    case Kind.String:
      return "a string";
    case Kind.Array:
      return "an array";
    default:
      return "an object";
  }
}

/** Reads a JSON text: RFC 8259, in UTF-8, at most 64 deep; a byte order mark before it is skipped. Refuses `payload_not_json`. */
export function parse(payload: Text): Json | null {
  if (!payload.isUtf8()) {
    refuse(null, "", "payload_not_json", "not UTF-8");
    return null;
  }
  const marked = payload.len >= 3 && payload.character(0) == 0xfeff;
  return new Reader(marked ? payload.part(3, payload.len) : payload).whole();
}

class Reader {
  private at: i32 = 0;
  private depth: i32 = 0;
  /** The string that was read last has half a surrogate pair. */
  private half: bool = false;

  constructor(private source: Text) {}

  whole(): Json | null {
    const root = new Json(null);
    if (!this.value(root)) return null;
    this.skip();
    if (!this.ended()) {
      this.not("something follows the value");
      return null;
    }
    return root;
  }

  private not(why: string): bool {
    if (refusal != null) return false;
    return refuse(null, "", "payload_not_json", why + " at byte " + this.at.toString());
  }

  @inline private ended(): bool {
    return this.at >= this.source.len;
  }

  /** The byte here; 0, which stands nowhere in JSON, at the end. */
  @inline private peek(): u8 {
    return this.ended() ? 0 : this.source.byte(this.at);
  }

  private skip(): void {
    while (!this.ended() && isBlank(this.source.byte(this.at))) this.at++;
  }

  private value(out: Json): bool {
    this.skip();
    const byte = this.peek();
    switch (byte) {
      case 0x7b:
        out.kind = Kind.Object;
        this.at++;
        return this.items(out, 0x7d);
      case 0x5b:
        out.kind = Kind.Array;
        this.at++;
        return this.items(out, 0x5d);
      case 0x22: {
        out.kind = Kind.String;
        this.at++;
        const text = this.string();
        if (!text) return false;
        out.text = text;
        out.half = this.half;
        return true;
      }
      case 0x74:
        out.kind = Kind.Bool;
        return this.word(out, "true");
      case 0x66:
        out.kind = Kind.Bool;
        return this.word(out, "false");
      case 0x6e:
        return this.word(out, "null");
      default:
        if (this.ended()) return this.not("the text ends");
        if (byte != 0x2d && !isDigit(byte)) return this.not("no JSON value");
        out.kind = Kind.Number;
        return this.number(out);
    }
  }

  private items(out: Json, shutBy: u8): bool {
    if (++this.depth > DEPTH_MAX) return this.not("nested too deeply");
    this.skip();
    if (this.peek() == shutBy) {
      this.at++;
      this.depth--;
      return true;
    }
    let last: Json | null = null;
    while (true) {
      const one = new Json(out);
      one.index = out.count++;
      if (out.kind == Kind.Object) {
        this.skip();
        if (this.peek() != 0x22) return this.not("no key");
        this.at++;
        const key = this.string();
        if (!key) return false;
        one.key = key;
        this.skip();
        if (this.peek() != 0x3a) return this.not("no colon");
        this.at++;
      }
      if (!this.value(one)) return false;
      if (last) last.next = one;
      else out.first = one;
      last = one;
      this.skip();
      if (this.ended()) return this.not("the text ends");
      const byte = this.peek();
      if (byte == shutBy) {
        this.at++;
        this.depth--;
        return true;
      }
      if (byte != 0x2c) return this.not("neither a comma nor the end");
      this.at++;
    }
  }

  private word(out: Json, literal: string): bool {
    const end = this.at + literal.length;
    if (end > this.source.len || !this.source.part(this.at, end).is(literal)) return this.not("no JSON value");
    out.text = this.source.part(this.at, end);
    this.at = end;
    return true;
  }

  private digits(): bool {
    const from = this.at;
    while (isDigit(this.peek())) this.at++;
    return this.at > from;
  }

  private number(out: Json): bool {
    const from = this.at;
    if (this.peek() == 0x2d) this.at++;
    if (this.peek() == 0x30) this.at++;
    else if (!this.digits()) return this.not("a number without digits");
    if (this.peek() == 0x2e) {
      this.at++;
      if (!this.digits()) return this.not("a number without digits");
    }
    if ((this.peek() | 0x20) == 0x65) {
      this.at++;
      if (this.peek() == 0x2b || this.peek() == 0x2d) this.at++;
      if (!this.digits()) return this.not("a number without digits");
    }
    out.text = this.source.part(from, this.at);
    return true;
  }

  /** After the opening quote. A string without escapes is a part of the payload; others are copied. */
  private string(): Text | null {
    this.half = false;
    const from = this.at;
    while (!this.ended()) {
      const byte = this.peek();
      if (byte == 0x22) return this.source.part(from, this.at++);
      if (byte == 0x5c || byte < 0x20) break;
      this.at++;
    }
    const out = new Buffer();
    out.push(this.source.part(from, this.at));
    while (!this.ended()) {
      const byte = this.peek();
      if (byte < 0x20) {
        this.not("a control character in a string");
        return null;
      }
      this.at++;
      if (byte == 0x22) return out.text();
      if (byte != 0x5c) out.byte(byte);
      else if (!this.escape(out)) return null;
    }
    this.not("a string that does not end");
    return null;
  }

  private escape(out: Buffer): bool {
    const byte = this.peek();
    this.at++;
    switch (byte) {
      case 0x22:
      case 0x5c:
      case 0x2f:
        out.byte(byte);
        return true;
      case 0x62:
        out.byte(0x08);
        return true;
      case 0x66:
        out.byte(0x0c);
        return true;
      case 0x6e:
        out.byte(0x0a);
        return true;
      case 0x72:
        out.byte(0x0d);
        return true;
      case 0x74:
        out.byte(0x09);
        return true;
      case 0x75: {
        let code = this.hex4();
        if (code < 0) return this.not("an escape without four digits");
        if (code >= 0xd800 && code < 0xdc00 && this.peek() == 0x5c) {
          const behind = this.at++;
          if (this.peek() == 0x75) {
            this.at++;
            const low = this.hex4();
            if (low < 0) return this.not("an escape without four digits");
            if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          // What follows is another escape.
          if (code < 0x10000) this.at = behind;
        }
        if (code >= 0xd800 && code < 0xe000) {
          this.half = true;
          code = 0xfffd;
        }
        encode(out, code);
        return true;
      }
      default:
        return this.not("an unknown escape");
    }
  }

  /** Less than zero when there are not four hexadecimal digits. */
  private hex4(): i32 {
    let code = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.peek();
      const lower = byte | 0x20;
      if (isDigit(byte)) code = (code << 4) | (<i32>byte - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) code = (code << 4) | (<i32>lower - 0x57);
      else return -1;
      this.at++;
    }
    return code;
  }
}

function encode(out: Buffer, code: i32): void {
  if (code < 0x80) {
    out.byte(<u8>code);
  } else if (code < 0x800) {
    out.byte(<u8>(0xc0 | (code >> 6)));
    out.byte(<u8>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out.byte(<u8>(0xe0 | (code >> 12)));
    out.byte(<u8>(0x80 | ((code >> 6) & 0x3f)));
    out.byte(<u8>(0x80 | (code & 0x3f)));
  } else {
    out.byte(<u8>(0xf0 | (code >> 18)));
    out.byte(<u8>(0x80 | ((code >> 12) & 0x3f)));
    out.byte(<u8>(0x80 | ((code >> 6) & 0x3f)));
    out.byte(<u8>(0x80 | (code & 0x3f)));
  }
}
