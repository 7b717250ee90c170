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

/** Public keys by kid; never changes. Every key is for RS256 and nothing else, whatever a token's header says. */
export class KeySet {
  private constructor(
    private readonly keys: ReadonlyMap<string, KeyObject>,
    readonly version: string,
    /** Keys that were withdrawn for cause, where the source tells: their tokens are revoked, not unknown. */
    readonly revoked: ReadonlySet<string>,
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
    for (const [kid, key] of entries(document).flatMap(usable)) {
      if (keys.has(kid)) {
        ambiguous.add(kid);
      }
      keys.set(kid, key);
    }
    for (const kid of [...ambiguous, ...withdrawn]) {
      keys.delete(kid);
    }
    return new KeySet(keys, version, withdrawn);
  }

  /** The same set, of which these keys are known to be revoked as well. */
  without(revoked: ReadonlySet<string>): KeySet {
    const keys = new Map([...this.keys].filter(([kid]) => !revoked.has(kid)));
    return new KeySet(keys, this.version, new Set([...this.revoked, ...revoked]));
  }

  get(kid: string): KeyObject | undefined {
    return this.keys.get(kid);
  }

  get size(): number {
    return this.keys.size;
  }
}

function entries(document: Uint8Array | string): readonly Json[] {
  let keys: Json | undefined;
  try {
    keys = jsonObject(typeof document === "string" ? Buffer.from(document) : document).get("keys");
  } catch (cause) {
    throw new KeySetRefused("the document is not a JSON Web Key Set", { cause });
  }
  if (!Array.isArray(keys)) {
    throw new KeySetRefused("the member 'keys' is not a list");
  }
  return keys as readonly Json[];
}

/** The kid and the key of `entry`; nothing if it is of no use. */
function usable(entry: Json): [string, KeyObject][] {
  if (!(entry instanceof Map)) {
    return [];
  }
  const kid = entry.get("kid");
  const n = entry.get("n");
  if (typeof kid !== "string" || kid === "" || lettersOf(kid) > LONGEST_KID) {
    return [];
  }
  if (!isForRs256(entry) || entry.get("e") !== EXPONENT || typeof n !== "string" || !isModulus(n)) {
    return [];
  }
  return [[kid, createPublicKey({ key: { kty: "RSA", n, e: EXPONENT }, format: "jwk" })]];
}

function isForRs256(entry: JsonObject): boolean {
  const operations = entry.has("key_ops") ? entry.get("key_ops") : ["verify"];
  return (
    entry.get("kty") === "RSA" &&
    (!entry.has("use") || entry.get("use") === "sig") &&
    (!entry.has("alg") || entry.get("alg") === "RS256") &&
    Array.isArray(operations) &&
    operations.includes("verify") &&
    !PRIVATE.some((member) => entry.has(member))
  );
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
