/** Against a service that runs: `make other-languages` in the repository starts one and says where it is. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { scans } from "../examples/scans.js";
import {
  AuthClient,
  CallFailed,
  HttpJwks,
  type KeySource,
  Session,
  TokenRefused,
  type TokenPair,
  TokenVerifier,
  TrustStream,
} from "../src/index.js";
import { eventually } from "./support.js";

const { AUTH_GRPC_ADDRESS: GRPC = "", AUTH_HTTP_ADDRESS: HTTP = "", AUTH_PYTHON: PYTHON = "" } = process.env;
const { AUTH_ISSUER: ISSUER = "", AUTH_AUDIENCE: AUDIENCE = "" } = process.env;
const running = { skip: GRPC === "" && "no service runs: AUTH_GRPC_ADDRESS is not set" };
const PASSWORD = "user1001-password";

let auth: AuthClient;
let jwks: HttpJwks;
let trust: TrustStream;

before(async () => {
  if (running.skip) {
    return;
  }
  auth = new AuthClient(GRPC, { plaintext: true });
  jwks = new HttpJwks(`http://${HTTP}/.well-known/jwks.json`, { coolDownSeconds: 0.1 });
  trust = await new TrustStream(GRPC, { plaintext: true }).open();
});

after(() => {
  auth?.close();
  jwks?.close();
  trust?.close();
});

function login(): Promise<TokenPair> {
  return auth.login("user1001", PASSWORD);
}

function verifier(keys: KeySource): TokenVerifier {
  return new TokenVerifier({ issuer: ISSUER, audience: AUDIENCE, keys });
}

async function verdict(token: string, keys: KeySource): Promise<string> {
  try {
    await verifier(keys).verify(token);
    return "accepted";
  } catch (error) {
    assert.ok(error instanceof TokenRefused, String(error));
    return `${error.code} ${error.reason}`;
  }
}

function becomes(expected: string, token: string, keys: KeySource): Promise<void> {
  return eventually(async () => assert.equal(await verdict(token, keys), expected));
}

/** What a command of the service's operator prints. */
async function operator(...command: string[]): Promise<string> {
  return (await promisify(execFile)(PYTHON, ["-m", "auth_service", ...command])).stdout;
}

/** The address of something before the service that can be cut off, and mended. */
async function cuttable() {
  const sockets = new Set<Socket>();
  let isCut = false;
  const [host, port] = GRPC.split(":");
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy()).on("close", () => other.destroy()).pipe(other);
    }
    if (isCut) {
      near.destroy();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const set = (cut: boolean) => {
    isCut = cut;
    sockets.forEach((each) => cut && each.destroy());
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => set(true),
    mend: () => set(false),
    close: () => (set(true), server.close()),
  };
}

test("a token is read alike by the key set and by the stream", running, async () => {
  const { accessToken, sessionId } = await login();

  for (const keys of [jwks, trust]) {
    const token = await verifier(keys).verify(accessToken);
    assert.equal(token.sessionId, sessionId);
    assert.equal(token.username, "user1001");
    assert.equal(token.userNumber, 1001n);
    assert.deepEqual(token.roles, ["user"]);
    assert.deepEqual(token.audience, [AUDIENCE]);
    assert.equal(token.expiresAt - token.issuedAt, 600);
  }
});

test("a token for somebody else is refused", running, async () => {
  const { accessToken } = await login();
  const another = new TokenVerifier({ issuer: ISSUER, audience: "another", keys: trust });

  await assert.rejects(another.verify(accessToken), { code: "TOKEN_INVALID", reason: "audience" });
});

test("what signs nothing else is no access token", running, async () => {
  const { refreshToken, accessToken } = await login();

  assert.equal(await verdict(refreshToken, trust), "TOKEN_INVALID malformed");
  assert.equal(await verdict(`${accessToken.slice(0, -4)}AAAA`, trust), "TOKEN_INVALID signature");
});

test("a session that ended is refused by whoever follows the stream", running, async () => {
  const [ended, other] = [await login(), await login()];
  assert.equal(await verdict(ended.accessToken, trust), "accepted");

  await auth.logout(ended.refreshToken);

  await becomes("TOKEN_REVOKED revoked", ended.accessToken, trust);
  assert.equal(await verdict(other.accessToken, trust), "accepted");
  assert.equal(await verdict(ended.accessToken, jwks), "accepted");
});

test("a stream that begins later is told of sessions that ended before", running, async () => {
  const { accessToken, refreshToken } = await login();
  await auth.logout(refreshToken);

  const late = await new TrustStream(GRPC, { plaintext: true }).open();
  await becomes("TOKEN_REVOKED revoked", accessToken, late);
  late.close();
});

test("a stream that was cut misses nothing", running, async () => {
  const { accessToken, refreshToken } = await login();
  const way = await cuttable();
  const cut = await new TrustStream(way.address, { plaintext: true, longestPauseSeconds: 0.2 }).open();
  assert.equal(await verdict(accessToken, cut), "accepted");

  way.cut();
  await eventually(() => assert.equal(cut.health.isFollowing, false));
  await auth.logout(refreshToken);
  await becomes("TOKEN_REVOKED revoked", accessToken, trust);
  assert.equal(await verdict(accessToken, cut), "accepted");

  way.mend();
  await becomes("TOKEN_REVOKED revoked", accessToken, cut);
  assert.ok(cut.health.isFollowing);
  cut.close();
  way.close();
});

test("a rotation refuses nobody", running, async () => {
  const before = (await login()).accessToken;
  await operator("keys", "rotate");

  const rotated = await eventually(async () => {
    const { accessToken } = await login();
    assert.notEqual(accessToken.split(".")[0], before.split(".")[0]);
    return accessToken;
  });
  for (const keys of [jwks, trust]) {
    assert.equal(await verdict(before, keys), "accepted");
    assert.equal(await verdict(rotated, keys), "accepted");
  }
});

test("a key that was withdrawn refuses whatever it signed", running, async () => {
  const { accessToken } = await login();
  const { keyId } = await verifier(trust).verify(accessToken);

  await operator("keys", "revoke", keyId, "--yes");

  await becomes("TOKEN_REVOKED revoked_key", accessToken, trust);
  const again = await eventually(async () => {
    const pair = await login();
    assert.equal(await verdict(pair.accessToken, trust), "accepted");
    return pair;
  });
  await jwks.refresh();
  assert.equal(await verdict(accessToken, jwks), "TOKEN_INVALID unknown_key");
  assert.equal(await verdict(again.accessToken, jwks), "accepted");
});

test("the example lets in who is signed in, and nobody else", running, async () => {
  const server = createHttpServer(scans(verifier(trust))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/scans`;
  const ask = async (authorization?: string) => {
    const reply = await fetch(url, { headers: authorization === undefined ? {} : { authorization } });
    return [reply.status, reply.headers.get("www-authenticate"), await reply.text()];
  };
  const { accessToken, refreshToken } = await login();

  assert.deepEqual(await ask(`Bearer ${accessToken}`), [200, null, '{"of":"user1001","scans":[]}']);
  assert.deepEqual(await ask(), [401, "Bearer", '{"code":""}']);
  assert.deepEqual(await ask(`Bearer ${accessToken}, Bearer ${accessToken}`), [401, "Bearer", '{"code":""}']);
  assert.deepEqual(await ask("Bearer x"), [401, 'Bearer error="invalid_token"', '{"code":"TOKEN_INVALID"}']);
  const staff = await auth.login("staff1002", "staff1002-password");
  assert.deepEqual(await ask(`Bearer ${staff.accessToken}`), [403, 'Bearer error="insufficient_scope"', '{"code":""}']);
  await auth.logout(refreshToken);
  await becomes("TOKEN_REVOKED revoked", accessToken, trust);
  assert.deepEqual(await ask(`Bearer ${accessToken}`), [401, 'Bearer error="invalid_token"', '{"code":"TOKEN_REVOKED"}']);
  server.close();
});

test("a wrong password is told as such", running, async () => {
  const error: unknown = await auth.login("user1001", "wrong").catch((reason: unknown) => reason);

  assert.ok(error instanceof CallFailed);
  assert.deepEqual([error.code, error.reason], ["UNAUTHENTICATED", "BAD_CREDENTIALS"]);
});

test("a session renews its token once for all who wait, and signs in again where it must", running, async () => {
  let now = 0;
  const session = new Session(auth, "user1001", PASSWORD, () => now);

  const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => session.accessToken()));
  assert.ok(others.every((each) => each === first));
  assert.equal(await session.accessToken(), first);

  now = 481;
  const renewed = await session.accessToken();
  assert.notEqual(renewed, first);
  const [one, two] = await Promise.all([verifier(trust).verify(first!), verifier(trust).verify(renewed)]);
  assert.equal(one.sessionId, two.sessionId);

  await auth.logout(session.refreshToken!);
  session.reject(renewed);
  assert.notEqual((await verifier(trust).verify(await session.accessToken())).sessionId, two.sessionId);
});
