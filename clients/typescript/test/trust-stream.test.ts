/** What is made of a stream's messages, also of a stream that breaks, lies or says nothing. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { KeysUnavailable, TokenRefused, TokenVerifier, TrustStream, type TrustStreamOptions } from "../src/index.js";
import {
  TrustService,
  type WatchTrustRequest,
  WatchTrustRequestSchema,
  type WatchTrustResponse,
  WatchTrustResponseSchema,
} from "../src/generated/auth_api/v1/trust_pb.js";
import { caseNamed, eventually, vectors } from "./support.js";

type Told = Omit<MessageInitShape<typeof WatchTrustResponseSchema>, "$typeName">;
type Stream = grpc.ServerWritableStream<WatchTrustRequest, WatchTrustResponse>;

const GOOD = caseNamed("usual");
const SECOND = caseNamed("second key");
const SESSION = caseNamed("ended session").revoked_sessions[0]!;
const HOUR = 3600n;
const NOW = BigInt(GOOD.now);

let server: grpc.Server;
let target: string;
let streams: Stream[];
let greeting: readonly Told[];
let trust: TrustStream | undefined;

beforeEach(async () => {
  [streams, greeting] = [[], [snapshot("one")]];
  server = new grpc.Server();
  const method = TrustService.method.watchTrust;
  server.addService(
    {
      watchTrust: {
        path: `/${TrustService.typeName}/${method.name}`,
        requestStream: false,
        responseStream: true,
        requestSerialize: (message: WatchTrustRequest) => Buffer.from(toBinary(WatchTrustRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(WatchTrustRequestSchema, bytes),
        responseSerialize: (message: WatchTrustResponse) => Buffer.from(toBinary(WatchTrustResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(WatchTrustResponseSchema, bytes),
      },
    },
    {
      watchTrust: (stream: Stream) => {
        streams.push(stream);
        tell(...greeting);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  target = `127.0.0.1:${port}`;
});

afterEach(() => {
  trust?.close();
  server.forceShutdown();
});

async function following(options: TrustStreamOptions = {}): Promise<TrustStream> {
  trust = new TrustStream(target, { plaintext: true, longestPauseSeconds: 0.1, ...options });
  return trust.open();
}

function tell(...told: readonly Told[]): void {
  for (const each of told) {
    streams.at(-1)!.write(create(WatchTrustResponseSchema, { now: { seconds: NOW }, ...each }));
  }
}

function keysOf(name: string) {
  const { jwks, revoked_kids: revokedKids } = vectors.key_sets[name]!;
  return { keys: jwks.keys, ringVersion: 7n, revokedKids };
}

function snapshot(name: string, { sessions = [] as string[], heartbeatInterval = { seconds: 60n, nanos: 0 } } = {}): Told {
  const revoked = [{ sessionIds: sessions, until: { seconds: NOW + HOUR } }];
  return { cursor: "c1", what: { case: "snapshot", value: { keys: keysOf(name), revoked, last: true, heartbeatInterval } } };
}

function heartbeat(cursor: string, { now = NOW, age = 0n } = {}): Told {
  const value = { heartbeatInterval: { seconds: 60n } };
  return { cursor, now: { seconds: now }, age: { seconds: age }, what: { case: "heartbeat", value } };
}

function change(cursor: string, value: { keys?: ReturnType<typeof keysOf>; sessions?: string[]; until?: bigint }): Told {
  const revoked = [{ sessionIds: value.sessions ?? [], until: { seconds: value.until ?? NOW + HOUR } }];
  return { cursor, what: { case: "change", value: value.keys ? { keys: value.keys, revoked } : { revoked } } };
}

async function verdict(token = GOOD.token): Promise<string> {
  const judge = new TokenVerifier({ issuer: GOOD.issuer, audience: GOOD.audience, keys: trust!, clock: () => GOOD.now });
  try {
    await judge.verify(token);
    return "accepted";
  } catch (error) {
    assert.ok(error instanceof TokenRefused || error instanceof KeysUnavailable, String(error));
    return error instanceof TokenRefused ? error.reason : "no verdict";
  }
}

function until(expected: string, token?: string): Promise<void> {
  return eventually(async () => assert.equal(await verdict(token), expected));
}

test("a snapshot says which keys count and which sessions have ended", async () => {
  await following();
  assert.equal(await verdict(), "accepted");
  assert.equal(await verdict(SECOND.token), "unknown_key");
  trust!.close();

  greeting = [snapshot("second_revoked", { sessions: [SESSION] })];
  await following();
  assert.equal(await verdict(), "revoked");
  assert.equal(await verdict(SECOND.token), "revoked_key");
  const { isFollowing, version, keys, revokedSessions } = trust!.health;
  assert.deepEqual({ isFollowing, version, keys, revokedSessions }, {
    isFollowing: true,
    version: "7",
    keys: 1,
    revokedSessions: 1,
  });
});

test("a verifier says what it is and what it is called", async () => {
  await following({ consumerName: "scans-1" });

  assert.deepEqual(streams[0]!.metadata.get("x-consumer-name"), ["scans-1"]);
  assert.match(String(streams[0]!.metadata.get("user-agent")), /^auth-client \(TypeScript\) grpc-node-js\//);
});

test("a stream that nobody opened begins with the first token", async () => {
  trust = new TrustStream(target, { plaintext: true });

  assert.equal(await verdict(), "accepted");
});

test("a change adds sessions and replaces keys", async () => {
  await following();
  tell(change("c2", { keys: keysOf("two") }));
  await until("accepted", SECOND.token);
  tell(change("c3", { sessions: ["another", SESSION] }));
  await until("revoked");
  assert.equal(trust!.health.revokedSessions, 2);
});

test("a key that was revoked stays so, also where the next stream leads to a replica that does not know", async () => {
  greeting = [snapshot("two")];
  await following();
  tell(change("c2", { keys: keysOf("second_revoked") }));
  await until("revoked_key", SECOND.token);
  streams[0]!.emit("error", { code: grpc.status.UNAVAILABLE, details: "leaving" });
  await eventually(() => assert.deepEqual([trust!.health.reconnects, trust!.health.isFollowing], [1, true]));

  assert.equal(await verdict(SECOND.token), "revoked_key");
  assert.equal(await verdict(), "accepted");

  tell(change("c3", { keys: keysOf("two"), sessions: [SESSION] }));
  await until("revoked");
  assert.equal(await verdict(SECOND.token), "revoked_key");
});

test("a key set without a usable key replaces none, and the keys that it says are revoked are", async () => {
  greeting = [snapshot("two")];
  await following();
  tell(change("c2", { keys: { keys: [], ringVersion: 8n, revokedKids: ["second"] } }));
  await until("revoked_key", SECOND.token);

  assert.equal(await verdict(), "accepted");
});

test("a session is forgotten when no token of it is left", async () => {
  greeting = [snapshot("one"), change("c2", { sessions: [SESSION], until: NOW + 10n })];
  await following();
  await until("revoked");
  tell(heartbeat("c3", { now: NOW + 309n }), change("c4", { sessions: ["another"] }));
  await eventually(() => assert.equal(trust!.health.revokedSessions, 2));
  tell(heartbeat("c5", { now: NOW + 311n }));
  await eventually(() => assert.equal(trust!.health.revokedSessions, 1));
  assert.equal(await verdict(), "accepted");
});

test("the next stream begins where the last one was", async () => {
  await following();
  tell(change("c2", { sessions: ["another"] }));
  await eventually(() => assert.equal(trust!.health.revokedSessions, 1));
  greeting = [change("c3", { sessions: [SESSION] })];
  streams[0]!.emit("error", { code: grpc.status.UNAVAILABLE, details: "leaving" });

  await until("revoked");
  assert.deepEqual(streams.map((each) => each.request.cursor), ["", "c2"]);
  assert.equal(trust!.health.reconnects, 1);
});

test("a stream that ends is begun anew, and what was told stays meanwhile", async () => {
  await following();
  greeting = [];
  streams[0]!.end();

  await eventually(() => assert.equal(streams.length, 2));
  assert.equal(await verdict(), "accepted");
  assert.equal(trust!.health.error, "the stream came to its end");
});

test("of a snapshot that was cut the sessions count and the keys do not", async () => {
  const revoked = [{ sessionIds: [SESSION], until: { seconds: NOW + HOUR } }];
  greeting = [{ what: { case: "snapshot", value: { keys: keysOf("two"), revoked } } }];
  await following({ patienceSeconds: 0.1 });
  assert.equal(await verdict(), "no verdict");

  greeting = [snapshot("one")];
  streams[0]!.end();
  await until("revoked");
  assert.equal(await verdict(SECOND.token), "unknown_key");
  assert.deepEqual(streams.map((each) => each.request.cursor), ["", ""]);
});

test("a last chunk without its first is no snapshot", async () => {
  greeting = [{ cursor: "c1", what: { case: "snapshot", value: { last: true } } }];
  await following();

  assert.equal(await verdict(), "no verdict");
  assert.match(trust!.health.error ?? "", /no usable key set/);
});

for (const name of ["none", "rsa_1024", "exponent_3", "for_encryption"]) {
  test(`a key set such as ${name} does not replace the keys that were known`, async () => {
    await following();
    greeting = [];
    tell(change("c2", { keys: keysOf(name), sessions: [SESSION] }));

    await until("revoked");
    await eventually(() => assert.equal(streams.length, 2));
    assert.equal(trust!.health.keys, 1);
    assert.equal(streams[1]!.request.cursor, "c1");
  });
}

test("a message of a kind that is not known here leaves the cursor where it was", async () => {
  await following();
  tell({ cursor: "c9", what: { case: undefined } });
  tell(change("", { sessions: [SESSION] }));
  await until("revoked");
  greeting = [];
  streams[0]!.end();

  await eventually(() => assert.equal(streams[1]?.request.cursor, "c1"));
});

test("silence for twice as long as was promised is a broken stream", async () => {
  greeting = [snapshot("one", { heartbeatInterval: { seconds: 0n, nanos: 50_000_000 } })];
  await following();

  await eventually(() => assert.ok(streams.length > 1));
  assert.equal(streams[1]!.request.cursor, "c1");
});

test("what is too old is trusted no longer, until there is news", async () => {
  let now = 0;
  await following({ clock: () => now });
  assert.equal(await verdict(), "accepted");

  now = 24 * 3600 + 1;
  assert.equal(await verdict(), "no verdict");
  tell(heartbeat("c2", { age: 5n }));
  await until("accepted");
  assert.equal(trust!.health.ageSeconds, 5);
});

test("while the service is away from the beginning there is no verdict", async () => {
  server.forceShutdown();
  await following();
  assert.equal(await verdict(), "no verdict");
  assert.match(trust!.health.error ?? "", /UNAVAILABLE/);
});
