/**
 * A service that lets in who is signed in, and asks nobody. From the repository:
 *
 *     make run
 *     AUTH_ISSUER=http://127.0.0.1:8080 node dist/examples/scans.js
 *     curl -H "Authorization: Bearer $ACCESS" http://127.0.0.1:8090/scans
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { pathToFileURL } from "node:url";

import { KeysUnavailable, TokenRefused, TokenVerifier, TrustStream, type VerifiedToken } from "../src/index.js";

type Guarded = (person: VerifiedToken, request: IncomingMessage, reply: ServerResponse) => void;

/** Lets only people with `role` reach `handler`. */
export function guarded(verifier: TokenVerifier, role: string, handler: Guarded): RequestListener {
  return async (request, reply) => {
    const bearer = /^Bearer ([^\s,]+)$/i.exec(request.headers.authorization ?? "");
    if (bearer === null) {
      refuse(reply, 401, "Bearer");
      return;
    }
    try {
      const person = await verifier.verify(bearer[1]!);
      if (!person.roles.includes(role)) {
        refuse(reply, 403, 'Bearer error="insufficient_scope"');
        return;
      }
      handler(person, request, reply);
    } catch (error) {
      if (error instanceof TokenRefused) {
        refuse(reply, 401, 'Bearer error="invalid_token"', error.code);
      } else if (error instanceof KeysUnavailable) {
        reply.writeHead(503, { "retry-after": "1" }).end();
      } else {
        throw error;
      }
    }
  };
}

function refuse(reply: ServerResponse, status: number, challenge: string, code = ""): void {
  reply.writeHead(status, { "www-authenticate": challenge, "content-type": "application/json" });
  reply.end(JSON.stringify({ code }));
}

export function scans(verifier: TokenVerifier): RequestListener {
  return guarded(verifier, "user", (person, _, reply) => {
    reply.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ of: person.username, scans: [] }));
  });
}

async function main(): Promise<void> {
  const { AUTH_GRPC_ADDRESS: target = "127.0.0.1:50051", AUTH_ISSUER: issuer = "http://127.0.0.1:8080" } = process.env;
  const trust = await new TrustStream(target, { plaintext: true }).open();
  const verifier = new TokenVerifier({ issuer, audience: process.env["AUTH_AUDIENCE"] ?? "auth-service", keys: trust });
  const server = createServer(scans(verifier)).listen(8090, "127.0.0.1");
  process.once("SIGTERM", () => (trust.close(), server.close()));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main();
}
