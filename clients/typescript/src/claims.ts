/** Claims (RFC 7519 section 4.1, RFC 9068 section 2.2): what a signed payload must say before it counts. */
import { TokenRefused } from "./errors.js";
import { type Json, type JsonObject, jsonObject } from "./strict.js";
import type { VerifiedToken } from "./token.js";

/** What is expected of a token. An `audience` of null takes tokens meant for anybody. */
export interface Rules {
  readonly issuer: string;
  readonly audience: string | null;
  readonly leewaySeconds: number;
}

/** The year 9999. */
const END_OF_TIME = 253_370_764_800;
const LARGEST_USER_NUMBER = 2n ** 63n - 1n;

/** The token of a payload whose signature holds. */
export function believe(payload: Uint8Array, keyId: string, rules: Rules, now: number): VerifiedToken {
  const token = read(members(payload), keyId);
  if (token.issuer !== rules.issuer) {
    throw new TokenRefused("issuer", "the token comes from another issuer");
  }
  if (rules.audience !== null && !token.audience.includes(rules.audience)) {
    throw new TokenRefused("audience", "the token is meant for another audience");
  }
  refuseNul(token);
  checkTime(token, rules, now);
  return token;
}

function members(payload: Uint8Array): JsonObject {
  try {
    return jsonObject(payload);
  } catch {
    throw new TokenRefused("malformed", "the payload is not a strict JSON object");
  }
}

function read(claims: JsonObject, keyId: string): VerifiedToken {
  const issuer = claims.get("iss");
  const audience = claims.get("aud") ?? (claims.has("aud") ? null : []);
  text(claims, "role");
  return {
    expiresAt: seconds(claims, "exp") ?? wrong("exp"),
    subject: text(claims, "sub") || wrong("sub"),
    // Of any type: what is no text is no issuer of ours.
    issuer: typeof issuer === "string" ? issuer : "",
    audience: typeof audience === "string" ? [audience] : texts(audience, "aud"),
    issuedAt: seconds(claims, "iat") ?? 0,
    notBefore: seconds(claims, "nbf") ?? 0,
    sessionId: text(claims, "sid"),
    tokenId: text(claims, "jti"),
    clientId: text(claims, "client_id"),
    username: text(claims, "username"),
    roles: texts(claims.has("roles") ? claims.get("roles") : [], "roles"),
    scopes: text(claims, "scope", 1024).split(" ").filter(Boolean),
    userNumber: userNumber(claims),
    keyId,
  };
}

function checkTime(token: VerifiedToken, rules: Rules, now: number): void {
  if (now >= token.expiresAt + rules.leewaySeconds) {
    throw new TokenRefused("expired", "the token has expired");
  }
  if (Math.max(token.issuedAt, token.notBefore) > now + rules.leewaySeconds) {
    throw new TokenRefused("not_yet_valid", "the token is not valid yet");
  }
}

/** Databases and C libraries would cut a text at NUL, and so take it for another. */
function refuseNul(token: VerifiedToken): void {
  const { subject, sessionId, tokenId, clientId, username, scopes, roles } = token;
  if ([subject, sessionId, tokenId, clientId, username, ...scopes, ...roles].some((each) => each.includes("\0"))) {
    throw new TokenRefused("claim", "a claim contains NUL");
  }
}

/** Undefined if the claim is absent. */
function seconds(claims: JsonObject, name: string): number | undefined {
  if (!claims.has(name)) {
    return undefined;
  }
  const value = claims.get(name);
  const isTime = (typeof value === "number" || typeof value === "bigint") && value >= 0 && value < END_OF_TIME;
  return isTime ? Number(value) : wrong(name);
}

/** Empty if the claim is absent. `longest` counts letters, not UTF-16 units. */
function text(claims: JsonObject, name: string, longest = 255): string {
  const value = claims.has(name) ? claims.get(name) : "";
  return typeof value === "string" && lettersOf(value) <= longest ? value : wrong(name);
}

function texts(value: Json | undefined, name: string): readonly string[] {
  const isTexts = Array.isArray(value) && value.every((each) => typeof each === "string");
  return isTexts ? (value as readonly string[]) : wrong(name);
}

function userNumber(claims: JsonObject): bigint | undefined {
  if (!claims.has("usernumber")) {
    return undefined;
  }
  const value = claims.get("usernumber");
  return typeof value === "bigint" && value >= 1n && value <= LARGEST_USER_NUMBER ? value : wrong("usernumber");
}

export function lettersOf(value: string): number {
  return [...value].length;
}

function wrong(name: string): never {
  throw new TokenRefused("claim", `the claim ${name} is not what it must be`);
}
