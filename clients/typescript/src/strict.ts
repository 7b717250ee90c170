/**
 * JSON and base64url as RFC 7515 and RFC 7519 mean them: one spelling, no duplicate members, UTF-8 only.
 *
 * Both functions throw SyntaxError (or a TypeError of TextDecoder), and the caller makes one refusal of them.
 */

export type Json = null | boolean | string | number | bigint | readonly Json[] | JsonObject;

/** A Map, because a member may be called `__proto__`. */
export type JsonObject = ReadonlyMap<string, Json>;

/** Limits that no honest document comes near, as the Python library has them. */
const DEEPEST = 1000;
const MOST_DIGITS = 4300;

const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** The bytes (one at least) behind unpadded base64url, spelt in its one canonical way. */
export function fromBase64url(text: string): Buffer {
  const bytes = Buffer.from(text, "base64url");
  // Buffer is lenient; what it reads is written back in one way only.
  if (!BASE64URL.test(text) || bytes.toString("base64url") !== text) {
    throw new SyntaxError("not canonical base64url, or empty");
  }
  return bytes;
}

/** The JSON object in `bytes`, refusing what RFC 8259 leaves open: duplicate members, NaN, BOM, lone surrogates. */
export function jsonObject(bytes: Uint8Array): JsonObject {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = new Reader(text).document();
  if (!(value instanceof Map)) {
    throw new SyntaxError("not a JSON object");
  }
  return value;
}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const WORDS: ReadonlyMap<string, Json> = new Map<string, Json>([
  ["true", true],
  ["false", false],
  ["null", null],
]);

/** Reads the grammar of RFC 8259. JSON.parse will not do: it takes the last of two members, and `1.0` for an integer. */
class Reader {
  #at = 0;
  #depth = 0;

  constructor(private readonly text: string) {}

  document(): Json {
    const value = this.#value();
    this.#match(SPACE);
    if (this.#at !== this.text.length) {
      throw new SyntaxError("something follows the JSON value");
    }
    return value;
  }

  #value(): Json {
    this.#match(SPACE);
    switch (this.text[this.#at]) {
      case "{":
        return this.#object();
      case "[":
        return this.#list();
      case '"':
        return this.#string();
      case "t":
      case "f":
      case "n":
        return WORDS.get(this.#need(WORD)) ?? null;
      default:
        return this.#number();
    }
  }

  #object(): JsonObject {
    const members = new Map<string, Json>();
    for (const _ of this.#items("{", "}")) {
      this.#match(SPACE);
      const name = this.#string();
      if (members.has(name)) {
        throw new SyntaxError("duplicate member");
      }
      this.#match(SPACE);
      this.#take(":");
      members.set(name, this.#value());
    }
    return members;
  }

  #list(): readonly Json[] {
    const values: Json[] = [];
    for (const _ of this.#items("[", "]")) {
      values.push(this.#value());
    }
    return values;
  }

  /** Stops before each item of an object or a list, for the caller to read it. */
  *#items(open: string, close: string): Iterable<void> {
    this.#take(open);
    this.#depth += 1;
    if (this.#depth > DEEPEST) {
      throw new SyntaxError("nested too deeply");
    }
    this.#match(SPACE);
    if (this.text[this.#at] !== close) {
      yield;
      this.#match(SPACE);
      while (this.text[this.#at] === ",") {
        this.#at += 1;
        yield;
        this.#match(SPACE);
      }
    }
    this.#take(close);
    this.#depth -= 1;
  }

  #string(): string {
    const value = JSON.parse(this.#need(STRING)) as string;
    if (!value.isWellFormed()) {
      throw new SyntaxError("a lone surrogate");
    }
    return value;
  }

  /** A bigint if it is spelt as an integer, else a number. */
  #number(): number | bigint {
    const start = this.#at;
    const found = this.#match(NUMBER);
    if (found === null) {
      throw new SyntaxError("not JSON");
    }
    const text = this.text.slice(start, this.#at);
    if (found[1] === undefined && found[2] === undefined) {
      if (text.replace("-", "").length > MOST_DIGITS) {
        throw new SyntaxError("number out of range");
      }
      return BigInt(text);
    }
    const value = Number(text);
    if (!Number.isFinite(value)) {
      throw new SyntaxError("number out of range");
    }
    return value;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    this.#at += found === null ? 0 : found[0].length;
    return found;
  }

  #need(pattern: RegExp): string {
    const found = this.#match(pattern);
    if (found === null) {
      throw new SyntaxError("not JSON");
    }
    return found[0];
  }

  #take(letter: string): void {
    if (this.text[this.#at] !== letter) {
      throw new SyntaxError("not JSON");
    }
    this.#at += 1;
  }
}
