/** When a session renews, and what it does while the service is away. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { type AuthClient, CallFailed, Session, type TokenPair } from "../src/index.js";

function pair(name: string): TokenPair {
  return { accessToken: name, refreshToken: `rt1.${name}`, expiresInSeconds: 600, sessionId: "session" };
}

/** A session on a clock of its own, and a service that answers with `next`. */
function signedIn() {
  const it = { now: 0, asked: [] as string[], next: pair("one") as TokenPair | CallFailed };
  const answer = async (call: string) => {
    it.asked.push(call);
    if (it.next instanceof CallFailed) {
      throw it.next;
    }
    return it.next;
  };
  const auth = { login: () => answer("login"), refresh: () => answer("refresh") } as unknown as AuthClient;
  return { it, session: new Session(auth, "ada", "right", () => it.now) };
}

const away = new CallFailed("UNAVAILABLE", "", "away");

test("while the service is away a token is used to its end, and the service is asked now and then", async () => {
  const { it, session } = signedIn();
  await session.accessToken();
  it.next = away;
  it.now = 481;

  assert.equal(await session.accessToken(), "one");
  assert.equal(await session.accessToken(), "one");
  assert.deepEqual(it.asked, ["login", "refresh"]);
  it.now = 483;
  assert.equal(await session.accessToken(), "one");
  assert.deepEqual(it.asked, ["login", "refresh", "refresh"]);

  it.now = 591;
  await assert.rejects(session.accessToken(), away);

  it.next = pair("two");
  assert.equal(await session.accessToken(), "two");
});

test("a token that was refused elsewhere is not used again, also while the service is away", async () => {
  const { it, session } = signedIn();
  await session.accessToken();
  it.next = away;

  session.reject("one");

  await assert.rejects(session.accessToken(), away);
  it.next = pair("two");
  assert.equal(await session.accessToken(), "two");
});

test("a service that refuses every token causes one renewal in ten seconds", async () => {
  const { it, session } = signedIn();
  await session.accessToken();

  it.next = pair("two");
  assert.ok(session.reject("one"));
  assert.equal(await session.accessToken(), "two");
  assert.ok(session.reject("one"), "another caller's, which has been renewed since");
  assert.ok(!session.reject("two"));
  assert.equal(await session.accessToken(), "two");
  assert.deepEqual(it.asked, ["login", "refresh"]);

  it.now = 10;
  it.next = pair("three");
  assert.ok(session.reject("two"));
  assert.equal(await session.accessToken(), "three");
});
