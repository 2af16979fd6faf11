// Bytes in UTF-8, and buffers of them.
//
// AssemblyScript's strings are UTF-16; what a vendor sends and what a mapper writes is UTF-8, and is never converted. Only the
// literals of a mapper's source are, character by character.

/** A part of memory, in UTF-8: of the message itself, or of a buffer. */
export class Text {
  constructor(
    public at: usize,
    public len: i32,
  ) {}

  /** The text of a literal. */
  static of(literal: string): Text {
    const out = new Buffer();
    out.put(literal);
    return out.text();
  }

  @inline byte(index: i32): u8 {
    return load<u8>(this.at + <usize>index);
  }

  is(literal: string): bool {
    // Most literals are ASCII; of another every character has more bytes.
    if (this.len < literal.length) return false;
    for (let i = 0; i < literal.length; i++) {
      const unit = literal.charCodeAt(i);
      if (unit >= 0x80) return this.same(Text.of(literal));
      if (<i32>this.byte(i) != unit) return false;
    }
    return this.len == literal.length;
  }

  same(other: Text): bool {
    return this.len == other.len && memory.compare(this.at, other.at, <usize>this.len) == 0;
  }

  part(from: i32, to: i32): Text {
    return new Text(this.at + <usize>from, to - from);
  }

  /** Without the blanks around it. */
  trimmed(): Text {
    let from = 0;
    let to = 0;
    let at = 0;
    while (at < this.len) {
      const start = at;
      const code = this.character(at);
      at += bytesOf(code);
      if (isWhite(code)) {
        if (to == 0) from = at;
      } else {
        if (to == 0) from = start;
        to = at;
      }
    }
    return to == 0 ? this.part(0, 0) : this.part(from, to);
  }

  /** The character that begins at `at`. The text is UTF-8. */
  character(at: i32): i32 {
    const lead = <i32>this.byte(at);
    if (lead < 0x80) return lead;
    const more: i32 = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    let code = lead & (0x3f >> more);
    for (let i = 1; i <= more && at + i < this.len; i++) code = (code << 6) | (<i32>this.byte(at + i) & 0x3f);
    return code;
  }

  /** Its characters, not its bytes. */
  chars(): i32 {
    let chars = 0;
    for (let i = 0; i < this.len; i++) chars += i32((this.byte(i) & 0xc0) != 0x80);
    return chars;
  }

  isUtf8(): bool {
    let at = 0;
    while (at < this.len) {
      const lead = this.byte(at);
      if (lead < 0x80) {
        at++;
        continue;
      }
      const more: i32 = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
      if (lead < 0xc2 || lead > 0xf4 || this.len - at <= more) return false;
      let code: u32 = <u32>lead & (0x3f >> more);
      for (let i = 1; i <= more; i++) {
        const next = this.byte(at + i);
        if ((next & 0xc0) != 0x80) return false;
        code = (code << 6) | (<u32>next & 0x3f);
      }
      if (more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return false;
      if (more == 3 && (code < 0x10000 || code > 0x10ffff)) return false;
      at += more + 1;
    }
    return true;
  }
}

/** How many bytes a character has. */
export function bytesOf(code: i32): i32 {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/** Unicode's White_Space, no-break spaces included. */
function isWhite(code: i32): bool {
  return (
    code == 0x20 ||
    (code >= 0x09 && code <= 0x0d) ||
    code == 0x85 ||
    code == 0xa0 ||
    code == 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code == 0x2028 ||
    code == 0x2029 ||
    code == 0x202f ||
    code == 0x205f ||
    code == 0x3000
  );
}

export function isBlank(byte: u8): bool {
  return byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d;
}

export function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39;
}

/** Bytes that grow. */
export class Buffer {
  private at: usize = 0;
  private room: i32 = 0;
  len: i32 = 0;

  text(): Text {
    return new Text(this.at, this.len);
  }

  byte(byte: u8): void {
    this.reserve(1);
    store<u8>(this.at + <usize>this.len, byte);
    this.len++;
  }

  push(text: Text): void {
    this.reserve(text.len);
    memory.copy(this.at + <usize>this.len, text.at, <usize>text.len);
    this.len += text.len;
  }

  /** A literal. */
  put(literal: string): void {
    for (let i = 0; i < literal.length; i++) {
      const unit = literal.charCodeAt(i);
      if (unit < 0x80) {
        this.byte(<u8>unit);
        continue;
      }
      const code = literal.codePointAt(i);
      if (code >= 0x10000) {
        i++;
        this.byte(<u8>(0xf0 | (code >> 18)));
        this.byte(<u8>(0x80 | ((code >> 12) & 0x3f)));
      } else if (code >= 0x800) {
        this.byte(<u8>(0xe0 | (code >> 12)));
      } else {
        this.byte(<u8>(0xc0 | (code >> 6)));
        this.byte(<u8>(0x80 | (code & 0x3f)));
        continue;
      }
      this.byte(<u8>(0x80 | ((code >> 6) & 0x3f)));
      this.byte(<u8>(0x80 | (code & 0x3f)));
    }
  }

  integer(number: i64): void {
    let rest: u64 = number < 0 ? 0 - <u64>number : <u64>number;
    if (number < 0) this.byte(0x2d);
    let scale: u64 = 1;
    while (rest / scale >= 10) scale *= 10;
    for (; scale > 0; scale /= 10) {
      this.byte(<u8>(0x30 + rest / scale));
      rest %= scale;
    }
  }

  /** Two digits. */
  two(number: i32): void {
    this.byte(<u8>(0x30 + number / 10));
    this.byte(<u8>(0x30 + (number % 10)));
  }

  /** A JSON string, escaped as the SDK in Rust does. */
  quote(text: Text): void {
    this.byte(0x22);
    for (let i = 0; i < text.len; i++) {
      const byte = text.byte(i);
      if (byte >= 0x20 && byte != 0x22 && byte != 0x5c) {
        this.byte(byte);
        continue;
      }
      this.byte(0x5c);
      switch (byte) {
        case 0x08:
          this.byte(0x62);
          break;
        case 0x09:
          this.byte(0x74);
          break;
        case 0x0a:
          this.byte(0x6e);
          break;
        case 0x0c:
          this.byte(0x66);
          break;
        case 0x0d:
          this.byte(0x72);
          break;
        case 0x22:
        case 0x5c:
          this.byte(byte);
          break;
        default:
          this.put("u00");
          this.byte(hex(byte >> 4));
          this.byte(hex(byte & 15));
      }
    }
    this.byte(0x22);
  }

  /** At most `lenMax` bytes, cut at a character; control characters become blanks. */
  bounded(lenMax: i32): Text {
    let len = this.len;
    if (len > lenMax) {
      len = lenMax;
      while (len > 0 && (load<u8>(this.at + <usize>len) & 0xc0) == 0x80) len--;
    }
    for (let i = 0; i < len; i++) {
      const byte = load<u8>(this.at + <usize>i);
      if (byte < 0x20 || byte == 0x7f) store<u8>(this.at + <usize>i, 0x20);
    }
    return new Text(this.at, len);
  }

  private reserve(more: i32): void {
    if (this.room - this.len >= more) return;
    this.room = max(this.room * 2, this.len + more + 256);
    this.at = heap.realloc(this.at == 0 ? heap.alloc(0) : this.at, <usize>this.room);
  }
}

function hex(nibble: u8): u8 {
  return nibble < 10 ? 0x30 + nibble : 0x57 + nibble;
}
