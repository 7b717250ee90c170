/** Connections to a peer that accepts them and then says nothing: they are given up, and no others are. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";

import * as grpc from "@grpc/grpc-js";

import { openChannel } from "../src/calls.js";
import { TrustStream } from "../src/index.js";
import { eventually } from "./support.js";

/** Without certificates, which would have to be made for the tests. */
const ANONYMOUS = { ciphers: "aNULL:@SECLEVEL=0", maxVersion: "TLSv1.2", ALPNProtocols: ["h2"] } as const;
const anonymous = () =>
  grpc.credentials.createFromSecureContext(tls.createSecureContext(ANONYMOUS), { rejectUnauthorized: false });

let opened: Server[];
let sockets: Socket[];

beforeEach(() => ([opened, sockets] = [[], []]));

afterEach(() => {
  sockets.forEach((socket) => socket.destroy());
  opened.forEach((server) => server.close());
});

/** A server's address, and how many connections it was brought and has lost. */
async function listening(server: Server, event = "connection") {
  const it = { address: "", brought: 0, lost: 0 };
  opened.push(server);
  server.on("tlsClientError", () => undefined);
  server.on(event, (socket: Socket) => {
    it.brought += 1;
    sockets.push(socket.on("error", () => undefined).on("close", () => (it.lost += 1)));
    // What comes is read, or the end would not be heard.
    socket.on("data", () => undefined);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  it.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return it;
}

const SILENT: Readonly<Record<string, [() => Server, string, () => grpc.ChannelCredentials]>> = {
  "in plain text": [createServer, "connection", () => grpc.credentials.createInsecure()],
  "in the middle of TLS": [createServer, "connection", anonymous],
  "behind TLS": [() => tls.createServer(ANONYMOUS), "secureConnection", anonymous],
};

for (const [where, [silent, event, credentials]] of Object.entries(SILENT)) {
  test(`a peer that is silent ${where} is tried again`, async () => {
    const peer = await listening(silent(), event);
    const trust = new TrustStream(peer.address, { credentials: credentials(), patienceSeconds: 0 });
    await trust.open();

    await eventually(() => assert.ok(peer.brought > 1));

    assert.ok(peer.lost > 0);
    trust.close();
    await eventually(() => assert.equal(peer.lost, peer.brought));
  });
}

test("a call behind TLS that is answered late is answered", async () => {
  const same = (bytes: Buffer) => bytes;
  const codec = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
  const server = new grpc.Server();
  server.addService(
    { echo: { path: "/test/Echo", requestStream: false, responseStream: false, ...codec } },
    // Longer than anybody waits for a connection.
    {
      echo: (call: { request: Buffer }, answer: grpc.sendUnaryData<Buffer>) =>
        void sleep(7000).then(() => answer(null, call.request)),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const front = await listening(
    tls.createServer(ANONYMOUS, (near) => {
      const far = connect(port, "127.0.0.1");
      near.pipe(far).pipe(near);
      // Or it would keep the test from ending.
      near.on("close", () => far.destroy());
    }),
    "secureConnection",
  );
  const client = openChannel(front.address, { credentials: anonymous() });

  const answer = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest("/test/Echo", same, same, Buffer.from("late"), (error, reply) =>
      error === null ? resolve(reply!) : reject(error),
    ),
  );

  assert.equal(String(answer), "late");
  assert.equal(front.brought, 1);
  client.close();
  server.forceShutdown();
});
