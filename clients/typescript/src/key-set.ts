/** The keys a verifier trusts, read from a JSON Web Key Set. Keys that could not have signed our tokens are left out. */
import { createPublicKey, type KeyObject } from "node:crypto";

import { lettersOf } from "./claims.js";
import { KeySetRefused } from "./errors.js";
import { fromBase64url, type Json, type JsonObject, jsonObject } from "./strict.js";

export const LONGEST_KID = 128;
/** Bits. A larger key only serves to make verifying slow. */
const SMALLEST = 2048;
const LARGEST = 8192;
/** 65537 */
const EXPONENT = "AQAB";
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const MOST_LEFT_OUT = 20;

/** A key that no token is judged by, and why. `kid` is as the document has it, but for its end; "" without one. */
export interface LeftOut {
  readonly kid: string;
  readonly why: string;
}

/** Public keys by kid; never changes. Every key is for RS256 and nothing else, whatever a token's header says. */
export class KeySet {
  private constructor(
    private readonly keys: ReadonlyMap<string, KeyObject>,
    readonly version: string,
    /** Keys that were withdrawn for cause, where the source tells: their tokens are revoked, not unknown. */
    readonly revoked: ReadonlySet<string>,
    /** What the document had besides, or the first of it. */
    readonly leftOut: readonly LeftOut[],
  ) {}

  /**
   * The usable keys of a document (RFC 7517 section 5); possibly none.
   *
   * Left out without harm to their neighbours: other key types, keys for encryption or for other algorithms, RSA keys
   * under 2048 bits or with an exponent other than 65537, keys that carry private members. A kid that two usable keys
   * share is ambiguous, so both go. Throws KeySetRefused if there is no list of keys at all.
   */
  static fromJwks(document: Uint8Array | string, { version = "", revoked = [] as Iterable<string> } = {}): KeySet {
    const withdrawn = new Set(revoked);
    const keys = new Map<string, KeyObject>();
    const ambiguous = new Set<string>();
    const leftOut: LeftOut[] = [];
    for (const entry of entries(document)) {
      const told = entry.get("kid");
      const kid = typeof told === "string" ? told : "";
      const why = defectOf(entry, kid);
      if (why !== undefined) {
        leftOut.push({ kid: kid.slice(0, LONGEST_KID), why });
        continue;
      }
      if (keys.has(kid)) {
        ambiguous.add(kid);
      }
      keys.set(kid, createPublicKey({ key: { kty: "RSA", n: entry.get("n") as string, e: EXPONENT }, format: "jwk" }));
    }
    leftOut.push(...[...ambiguous].map((kid) => ({ kid, why: "is the kid of several keys" })));
    for (const kid of [...ambiguous, ...withdrawn]) {
      keys.delete(kid);
    }
    return new KeySet(keys, version, withdrawn, leftOut.slice(0, MOST_LEFT_OUT));
  }

  /** The same set, of which these keys are known to be revoked as well. */
  without(revoked: ReadonlySet<string>): KeySet {
    const keys = new Map([...this.keys].filter(([kid]) => !revoked.has(kid)));
    return new KeySet(keys, this.version, new Set([...this.revoked, ...revoked]), this.leftOut);
  }

  get(kid: string): KeyObject | undefined {
    return this.keys.get(kid);
  }

  get size(): number {
    return this.keys.size;
  }
}

function entries(document: Uint8Array | string): readonly JsonObject[] {
  let keys: Json | undefined;
  try {
    keys = jsonObject(typeof document === "string" ? Buffer.from(document) : document).get("keys");
  } catch (cause) {
    throw new KeySetRefused("the document is not a JSON Web Key Set", { cause });
  }
  if (!Array.isArray(keys)) {
    throw new KeySetRefused("the member 'keys' is not a list");
  }
  return (keys as readonly Json[]).filter((each): each is JsonObject => each instanceof Map);
}

/** Why the key is of no use, as what follows its name; nothing if it is. */
function defectOf(entry: JsonObject, kid: string): string | undefined {
  if (kid === "" || lettersOf(kid) > LONGEST_KID) {
    return `has no kid of 1 to ${LONGEST_KID} characters`;
  }
  if (PRIVATE.some((member) => entry.has(member))) {
    return "has members that only a private key has";
  }
  if (entry.get("kty") !== "RSA") {
    return "is no RSA key";
  }
  if (!isOr(entry, "use", "sig") || !isOr(entry, "alg", "RS256")) {
    return "is not for RS256 signatures";
  }
  const operations = entry.has("key_ops") ? entry.get("key_ops") : ["verify"];
  if (!Array.isArray(operations) || !operations.includes("verify")) {
    return "is not for verifying";
  }
  const n = entry.get("n");
  const isGood = entry.get("e") === EXPONENT && typeof n === "string" && isModulus(n);
  return isGood ? undefined : `is not of ${SMALLEST} to ${LARGEST} bits with the exponent 65537`;
}

/** Whether a member is as expected, or absent. */
function isOr(entry: JsonObject, member: string, expected: string): boolean {
  return !entry.has(member) || entry.get(member) === expected;
}

/** Whether it is a Base64urlUInt, big-endian and without leading zeros (RFC 7518 section 2), odd and of a good size. */
function isModulus(text: string): boolean {
  try {
    const bytes = fromBase64url(text);
    const bits = 8 * bytes.length - Math.clz32(bytes[0] ?? 0) + 24;
    return bytes[0] !== 0 && bytes.at(-1)! % 2 === 1 && bits >= SMALLEST && bits <= LARGEST;
  } catch {
    return false;
  }
}
