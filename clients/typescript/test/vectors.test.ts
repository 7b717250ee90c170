/** What every verifier must say, in whichever language: ../../tests/vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { FixedKeys, KeySet, TokenRefused, TokenVerifier, type VerifiedToken } from "../src/index.js";
import { type Case, vectors } from "./support.js";

function verifierFor(each: Case): TokenVerifier {
  const { jwks, revoked_kids: revoked } = vectors.key_sets[each.key_set]!;
  return new TokenVerifier({
    issuer: each.issuer,
    audience: each.audience,
    keys: new FixedKeys(KeySet.fromJwks(JSON.stringify(jwks), { revoked })),
    isRevoked: (token) => each.revoked_sessions.includes(token.sessionId),
    leewaySeconds: each.leeway_seconds,
    clock: () => each.now,
  });
}

async function verdict(each: Case): Promise<object> {
  try {
    const token = await verifierFor(each).verify(each.token.repeat(each.token_repeat));
    return { accepted: true, code: null, reason: null, claims: told(token) };
  } catch (error) {
    if (!(error instanceof TokenRefused)) {
      throw error;
    }
    return { accepted: false, code: error.code, reason: error.reason, claims: null };
  }
}

function told(token: VerifiedToken): object {
  return {
    subject: token.subject,
    session_id: token.sessionId,
    token_id: token.tokenId,
    issuer: token.issuer,
    audience: token.audience,
    roles: token.roles,
    scopes: token.scopes,
    user_number: token.userNumber === undefined ? null : String(token.userNumber),
    username: token.username,
    client_id: token.clientId,
    key_id: token.keyId,
    issued_at: token.issuedAt,
    not_before: token.notBefore,
    expires_at: token.expiresAt,
  };
}

test("every vector is judged as it says", async () => {
  const wrong: object[] = [];
  for (const each of vectors.cases) {
    const { name, accepted, code, reason, claims } = each;
    const said = await verdict(each);
    try {
      assert.deepEqual(said, { accepted, code, reason, claims });
    } catch {
      wrong.push({ name, expected: { accepted, code, reason, claims }, said });
    }
  }

  const accepted = vectors.cases.filter((each) => each.accepted).length;
  console.log(`vectors: ${accepted} accepted, ${vectors.cases.length - accepted} refused, ${wrong.length} wrong`);
  assert.deepEqual(wrong, []);
});

test("no message quotes the token", async () => {
  for (const each of vectors.cases.filter(({ accepted, token }) => !accepted && token.length > 40)) {
    const token = each.token.repeat(each.token_repeat);
    await assert.rejects(verifierFor(each).verify(token), (error: Error) => {
      const shown = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
      return !shown.includes(token.slice(0, 20)) && !shown.includes(token.slice(-20));
    });
  }
});

test("a verifier is not made by mistake without its checks", () => {
  const keys = new FixedKeys(KeySet.fromJwks('{"keys":[]}'));
  const issuer = "https://auth.facility.example";

  assert.throws(() => new TokenVerifier({ issuer, audience: "", keys }), TypeError);
  assert.throws(() => new TokenVerifier({ issuer, keys } as never), TypeError);
  assert.throws(() => new TokenVerifier({ issuer: "", audience: null, keys }), TypeError);
  for (const leewaySeconds of [-1, 301, NaN]) {
    assert.throws(() => new TokenVerifier({ issuer, audience: null, keys, leewaySeconds }), RangeError);
  }
});
