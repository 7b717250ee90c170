/** Keys from an endpoint that is well, busy, broken or hostile. */
import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";

import { HttpJwks, type HttpJwksOptions, KeysUnavailable, TokenRefused, TokenVerifier } from "../src/index.js";
import { caseNamed, eventually, vectors } from "./support.js";

const GOOD = caseNamed("usual");
const SECOND = caseNamed("second key");
const ONE = JSON.stringify(vectors.key_sets["one"]!.jwks);
const TWO = JSON.stringify(vectors.key_sets["two"]!.jwks);

const FAULTS: Readonly<Record<string, RequestListener>> = {
  "an error": (_, reply) => reply.writeHead(500).end(TWO),
  "HTML": (_, reply) => reply.end("<html></html>"),
  "an empty set": (_, reply) => reply.end('{"keys":[]}'),
  "a set of unusable keys": (_, reply) => reply.end(JSON.stringify(vectors.key_sets["rsa_1024"]!.jwks)),
  "a member twice": (_, reply) => reply.end(`{"keys":[],${ONE.slice(1)}`),
  "10 MB": (_, reply) => reply.end(ONE + " ".repeat(10_000_000)),
  "deep JSON": (_, reply) => reply.end(`{"keys":${"[".repeat(200_000)}`),
  "a redirect": (_, reply) => reply.writeHead(302, { location: "/elsewhere" }).end(),
  "a slow drip": (_, reply) => void reply.write("{"),
  "no answer": () => undefined,
  "a cut connection": (request) => request.socket.destroy(),
  "an odd status": (_, reply) => reply.writeHead(304).end(),
};

let server: Server;
let answer: RequestListener;
let requests: string[];
let now: number;
let keys: HttpJwks;

beforeEach(async () => {
  [answer, requests, now] = [serving(ONE), [], 1000];
  server = createServer((request, reply) => {
    requests.push(request.headers["if-none-match"] ?? "");
    answer(request, reply);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  keys = source();
});

afterEach(() => {
  keys.close();
  server.closeAllConnections();
  server.close();
});

function source(options: HttpJwksOptions = {}): HttpJwks {
  const { port } = server.address() as AddressInfo;
  return new HttpJwks(`http://127.0.0.1:${port}/jwks.json`, { clock: () => now, timeoutSeconds: 60, ...options });
}

function serving(body: string, headers: Record<string, string> = {}): RequestListener {
  return (_, reply) => reply.writeHead(200, { "cache-control": "max-age=300", ...headers }).end(body);
}

function verifier(): TokenVerifier {
  return new TokenVerifier({ issuer: GOOD.issuer, audience: GOOD.audience, keys, clock: () => GOOD.now });
}

async function refusal(token: string): Promise<string> {
  const error: unknown = await verifier().verify(token).catch((reason: unknown) => reason);
  assert.ok(error instanceof TokenRefused);
  return error.reason;
}

test("a crowd at a cold start causes one fetch", async () => {
  const judge = verifier();

  const tokens = await Promise.all(Array.from({ length: 100 }, () => judge.verify(GOOD.token)));

  assert.equal(tokens.length, 100);
  assert.equal(requests.length, 1);
});

test("ten thousand tokens of unknown keys cause one fetch in a cool-down", async () => {
  await keys.refresh();

  for (let turn = 0; turn < 100; turn += 1) {
    await Promise.all(Array.from({ length: 100 }, () => refusal(SECOND.token)));
  }

  assert.equal(requests.length, 2);
  now += 31;
  assert.equal(await refusal(SECOND.token), "unknown_key");
  assert.equal(requests.length, 3);
});

test("a new key is picked up when a token first names it", async () => {
  await keys.refresh();
  answer = serving(TWO);

  assert.equal((await verifier().verify(SECOND.token)).keyId, "second");
});

test("what has not changed is not sent again", async () => {
  answer = serving(ONE, { etag: '"7"' });
  await keys.refresh();
  answer = (_, reply) => reply.writeHead(304).end();
  await keys.refresh();

  assert.deepEqual(requests, ["", '"7"']);
  assert.deepEqual(keys.health, { ageSeconds: 0, error: undefined, version: '"7"', keys: 1, leftOut: [] });
});

for (const [name, fault] of Object.entries(FAULTS)) {
  test(`${name} from the endpoint changes nothing, and is told`, async () => {
    keys = source({ timeoutSeconds: 2 });
    await eventually(async () => {
      await keys.refresh();
      assert.equal(keys.health.error, undefined);
    });
    [answer, requests] = [fault, []];
    now += 600;
    await keys.refresh();

    assert.ok(await verifier().verify(GOOD.token));
    assert.equal(keys.health.ageSeconds, 600);
    assert.ok(keys.health.error);
    assert.equal(requests.length, 1);
  });
}

test("an endpoint that fails is left alone for a while", async () => {
  await keys.refresh();
  [answer] = [FAULTS["an error"]!];

  for (let turn = 0; turn < 50; turn += 1) {
    await refusal(SECOND.token);
  }
  assert.equal(requests.length, 2);
  now += 31;
  await refusal(SECOND.token);
  assert.equal(requests.length, 3);
});

test("without any keys the pauses grow, and there is no verdict", async () => {
  answer = FAULTS["an error"]!;
  const judge = verifier();
  const heard: number[] = [];
  for (const pause of [0, 0.4, 0.2, 0.9, 0.2]) {
    now += pause;
    await assert.rejects(judge.verify(GOOD.token), KeysUnavailable);
    heard.push(requests.length);
  }

  assert.deepEqual(heard, [1, 1, 2, 2, 3]);
});

test("keys that are too old are trusted no longer, until the endpoint is back", async () => {
  await keys.refresh();
  const listener = answer;
  answer = FAULTS["an error"]!;

  now += 24 * 3600;
  assert.ok(await verifier().verify(GOOD.token));
  now += 1;
  await assert.rejects(verifier().verify(GOOD.token), /too old/);

  answer = listener;
  now += 11;
  assert.ok(await verifier().verify(GOOD.token));
});

test("a verifier says what it is and what it is called", async () => {
  const named = source({ consumerName: "scans-1" });
  let said: object = {};
  answer = ({ headers }, reply) => {
    said = { name: headers["x-consumer-name"], agent: headers["user-agent"] };
    reply.end(ONE);
  };
  await named.refresh();
  named.close();

  assert.deepEqual(said, { name: "scans-1", agent: "auth-client (TypeScript)" });
});

test("what a set leaves out is told", async () => {
  const [good] = (JSON.parse(ONE) as { keys: Record<string, string>[] }).keys;
  const odd = [
    { ...good, kid: "private", d: "AA" },
    { ...good, kid: "elliptic", kty: "EC" },
    { ...good, kid: "RS512", alg: "RS512" },
    { ...good, kid: "encrypts", use: "enc" },
    { ...good, kid: "short", n: "AQAB" },
    { ...good, kid: "" },
    { ...good, kid: "twice" },
    { ...good, kid: "twice" },
  ];
  answer = serving(JSON.stringify({ keys: [good, ...odd] }));
  await keys.refresh();

  assert.ok(await verifier().verify(GOOD.token));
  assert.deepEqual(keys.health.leftOut, [
    { kid: "private", why: "has members that only a private key has" },
    { kid: "elliptic", why: "is no RSA key" },
    { kid: "RS512", why: "is not for RS256 signatures" },
    { kid: "encrypts", why: "is not for RS256 signatures" },
    { kid: "short", why: "is not of 2048 to 8192 bits with the exponent 65537" },
    { kid: "", why: "has no kid of 1 to 128 characters" },
    { kid: "twice", why: "is the kid of several keys" },
  ]);
});

test("a withdrawn key is dropped with the next fetch", async () => {
  answer = serving(TWO);
  await keys.refresh();
  assert.ok(await verifier().verify(SECOND.token));
  answer = serving(ONE);
  await keys.refresh();

  assert.equal(await refusal(SECOND.token), "unknown_key");
});

test("what is closed fetches no more, and keeps what it has", async () => {
  await keys.refresh();
  keys.close();
  now += 100;

  assert.ok(await verifier().verify(GOOD.token));
  assert.equal(await refusal(SECOND.token), "unknown_key");
  assert.equal(requests.length, 1);
});

test("only http and https are asked", () => {
  assert.throws(() => new HttpJwks("file:///etc/passwd"), TypeError);
});
