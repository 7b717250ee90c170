/**
 * What the trust stream has told so far, as a verifier needs it. No I/O: the stream's messages are handed in.
 *
 *     a snapshot           its sessions count at once, its keys and its cursor with the last chunk
 *     a change             more sessions, and another key set where there is one
 *     a session            stays refused until no token of it is left, by the service's clock and not by this machine's
 *     a revoked key        stays refused, whatever other replicas still tell
 *     an unusable key set  is left out: the keys that were known stay, less those that it says are revoked
 */
import { type Duration, durationMs, type Timestamp } from "@bufbuild/protobuf/wkt";

import { KeySetRefused } from "./errors.js";
import type {
  RevokedSessions,
  TrustedKeys,
  TrustSnapshotChunk,
  WatchTrustResponse,
} from "./generated/auth_api/v1/trust_pb.js";
import { KeySet } from "./key-set.js";

/** Seconds, of any verifier: a token may be believed for so long after its `exp`. */
const LONGEST_LEEWAY = 300;

export class Trusted {
  readonly #revoked = new Map<string, number>();
  #coming: KeySet | undefined;
  keys: KeySet | undefined;
  cursor = "";
  /** By `clock`: what is known here was all there was to know then. */
  trueAt = -Infinity;
  heartbeatSeconds: number | undefined;

  constructor(private readonly clock: () => number) {}

  get revokedSessions(): number {
    return this.#revoked.size;
  }

  /** Whether the session is known to have ended. */
  names(sessionId: string): boolean {
    return this.#revoked.has(sessionId);
  }

  /** A new stream: what was left of a snapshot that was cut does not count. */
  begin(): void {
    this.#coming = undefined;
  }

  /** Throws KeySetRefused for a key set without a usable key; everything else in the message counts. */
  take(message: WatchTrustResponse): void {
    const { what, cursor, now, age } = message;
    switch (what.case) {
      case "snapshot":
        this.#takeChunk(what.value);
        break;
      case "change":
        this.#refuse(what.value.revoked);
        this.#forget(now);
        this.keys = what.value.keys === undefined ? this.keys : this.#keySetOf(what.value.keys);
        break;
      case "heartbeat":
        this.heartbeatSeconds = secondsOf(what.value.heartbeatInterval);
        this.#forget(now);
        break;
      default:
        // From a newer service. Its cursor would skip what is not understood here.
        return;
    }
    if (cursor !== "") {
      this.cursor = cursor;
      this.trueAt = this.clock() - Math.max(0, secondsOf(age));
    }
  }

  #takeChunk(chunk: TrustSnapshotChunk): void {
    this.#refuse(chunk.revoked);
    if (chunk.keys !== undefined) {
      this.#coming = this.#keySetOf(chunk.keys);
    }
    if (chunk.last) {
      if (this.#coming === undefined) {
        throw new KeySetRefused("the snapshot has no usable key set");
      }
      this.keys = this.#coming;
      this.#coming = undefined;
      this.heartbeatSeconds = secondsOf(chunk.heartbeatInterval);
    }
  }

  #refuse(groups: readonly RevokedSessions[]): void {
    for (const { sessionIds, until } of groups) {
      const end = momentOf(until) + LONGEST_LEEWAY;
      for (const sessionId of sessionIds) {
        this.#revoked.set(sessionId, Math.max(end, this.#revoked.get(sessionId) ?? end));
      }
    }
  }

  #forget(now: Timestamp | undefined): void {
    // They were told in the order in which they end to matter, give or take: the rest need not be looked at.
    for (const [sessionId, until] of this.#revoked) {
      if (until > momentOf(now)) {
        return;
      }
      this.#revoked.delete(sessionId);
    }
  }

  #keySetOf(told: TrustedKeys): KeySet {
    const keys = told.keys.map(({ kty, use, alg, kid, n, e }) => ({ kty, use, alg, kid, n, e }));
    const set = KeySet.fromJwks(JSON.stringify({ keys }), {
      version: String(told.ringVersion),
      // The next stream may lead to a replica that has not heard of it yet, and a revoked key never returns.
      revoked: [...told.revokedKids, ...(this.keys?.revoked ?? [])],
    });
    if (set.size === 0) {
      this.keys = this.keys?.without(set.revoked);
      throw new KeySetRefused("the key set holds no usable key");
    }
    return set;
  }
}

/** Seconds since 1970. */
function momentOf(timestamp: Timestamp | undefined): number {
  return Number(timestamp?.seconds ?? 0n);
}

function secondsOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : durationMs(duration) / 1000;
}
