/**
 * The rule by which an access token is believed.
 *
 * Nothing but the header is parsed before the signature holds, and the header only picks a key from the set: the
 * algorithm is RS256, whatever the token asks for (RFC 8725 sections 3.1 and 3.2). jose checks the signature; the header
 * and the payload are read here, because jose takes duplicate members, padding and a few more things for good.
 */
import { compactVerify, errors } from "jose";

import { believe, lettersOf, type Rules } from "./claims.js";
import { KeysUnavailable, TokenRefused } from "./errors.js";
import { type KeySet, LONGEST_KID } from "./key-set.js";
import type { KeySource } from "./sources.js";
import { fromBase64url, type JsonObject, jsonObject } from "./strict.js";
import type { VerifiedToken } from "./token.js";

const LARGEST_TOKEN = 8192;
const LARGEST_HEADER = 1024;
const LONGEST_LEEWAY = 300;
const TYPES: ReadonlySet<unknown> = new Set(["at+jwt", "application/at+jwt"]);
/**
 * Parameters that would bring in a key from outside, another kind or encoding of payload, or encryption. None is ever
 * honoured, and a token of ours never carries one.
 */
const FOREIGN = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64", "cty", "zip", "enc"];

export interface TokenVerifierOptions {
  readonly issuer: string;
  /** null, spelled out, takes tokens meant for anybody. */
  readonly audience: string | null;
  readonly keys: KeySource;
  /** Asked about every token that is otherwise good. What it throws passes through: a check that fails lets nobody in. */
  readonly isRevoked?: (token: VerifiedToken) => boolean | Promise<boolean>;
  /** For clocks that disagree: 0 to 300. */
  readonly leewaySeconds?: number;
  /** Seconds since 1970. */
  readonly clock?: () => number;
}

/** Says what an access token says, or why it must not be believed. */
export class TokenVerifier {
  readonly #rules: Rules;
  readonly #keys: KeySource;
  readonly #isRevoked: (token: VerifiedToken) => boolean | Promise<boolean>;
  readonly #clock: () => number;

  constructor(options: TokenVerifierOptions) {
    const { issuer, audience, keys, isRevoked, leewaySeconds = 60, clock } = options;
    // Also for callers without types: to leave the audience out by mistake must not switch the check off.
    if (!issuer || audience === "" || audience === undefined) {
      throw new TypeError("issuer and audience must not be empty; an audience of null takes tokens meant for anybody");
    }
    if (!(leewaySeconds >= 0 && leewaySeconds <= LONGEST_LEEWAY)) {
      throw new RangeError("leewaySeconds must be between 0 and 300");
    }
    this.#rules = { issuer, audience, leewaySeconds };
    this.#keys = keys;
    this.#isRevoked = isRevoked ?? (() => false);
    this.#clock = clock ?? (() => Date.now() / 1000);
  }

  /**
   * What `token` says. An unknown key, or having no keys at all, is first taken up with the key source.
   *
   * Rejects with TokenRefused, or with KeysUnavailable if there is no verdict.
   */
  async verify(token: string): Promise<VerifiedToken> {
    try {
      return await this.#judge(token);
    } catch (error) {
      const newerKeysMayHelp =
        error instanceof KeysUnavailable || (error instanceof TokenRefused && error.reason === "unknown_key");
      if (!newerKeysMayHelp || !(await this.#keys.lookAgain())) {
        throw error;
      }
    }
    return this.#judge(token);
  }

  async #judge(token: string): Promise<VerifiedToken> {
    const { kid, payload } = await signedBy(token, this.#keys.current());
    const verified = believe(payload, kid, this.#rules, this.#clock());
    if (this.#keys.isRevoked?.(verified) || (await this.#isRevoked(verified))) {
      throw new TokenRefused("revoked", "the session of the token was ended");
    }
    return verified;
  }
}

/** The payload of a token whose signature holds, and the kid of its key. */
async function signedBy(token: string, keys: KeySet): Promise<{ kid: string; payload: Uint8Array }> {
  if (typeof token !== "string") {
    throw new TokenRefused("malformed", "the token is not a string");
  }
  if (token.length > LARGEST_TOKEN) {
    throw new TokenRefused("too_large", "the token is longer than 8 KiB");
  }
  const segments = token.split(".");
  const [header, body, signature] = segments;
  if (segments.length !== 3 || !header || !body || !signature) {
    throw new TokenRefused("malformed", "the token does not have three segments");
  }
  fromSegment(signature);
  const payload = fromSegment(body);
  const kid = kidOf(header);
  const key = keys.get(kid);
  if (key === undefined) {
    throw keys.revoked.has(kid)
      ? new TokenRefused("revoked_key", "the key that signed the token was revoked")
      : new TokenRefused("unknown_key", "no known key has the kid of the token");
  }
  try {
    await compactVerify(token, key, { algorithms: ["RS256"] });
  } catch (error) {
    if (error instanceof errors.JOSEError) {
      throw new TokenRefused("signature", "the signature is wrong");
    }
    throw error;
  }
  return { kid, payload };
}

/** The kid of a header that asks for nothing but what we do. */
function kidOf(segment: string): string {
  if (segment.length > LARGEST_HEADER) {
    throw new TokenRefused("header", "the header is longer than 1 KiB");
  }
  const header = headerOf(segment);
  if (header.get("alg") !== "RS256") {
    throw new TokenRefused("algorithm", "the algorithm is not RS256");
  }
  if (header.has("crit")) {
    throw new TokenRefused("crit", "the header has critical extensions, and none is understood");
  }
  if (FOREIGN.some((member) => header.has(member))) {
    throw new TokenRefused("header", "the header brings its own key, encoding or encryption");
  }
  const typ = header.get("typ");
  if (typeof typ !== "string" || !TYPES.has(typ.toLowerCase())) {
    throw new TokenRefused("typ", "the typ is not at+jwt");
  }
  const kid = header.get("kid");
  if (typeof kid !== "string" || kid === "" || lettersOf(kid) > LONGEST_KID) {
    throw new TokenRefused("header", "the header has no usable kid");
  }
  return kid;
}

function headerOf(segment: string): JsonObject {
  const bytes = fromSegment(segment);
  try {
    return jsonObject(bytes);
  } catch {
    throw new TokenRefused("malformed", "the header is not a strict JSON object");
  }
}

function fromSegment(segment: string): Buffer {
  try {
    return fromBase64url(segment);
  } catch {
    throw new TokenRefused("malformed", "the token is not canonical base64url");
  }
}
