/**
 * Keys and ended sessions as they change, so that a session that was ended is refused here within a second.
 *
 *     the stream ends or breaks  what was told stays; the next one begins where this one was, after a short random pause
 *     it cannot be had           the pause doubles, from 0.2 s up to longestPauseSeconds
 *     nothing comes, not even a heartbeat, for twice as long as was promised: the stream is broken
 *     nothing new for long       past maxStaleSeconds nothing is trusted any longer: KeysUnavailable
 */
import { setTimeout as sleep } from "node:timers/promises";

import { type Client, Metadata, type ServiceError } from "@grpc/grpc-js";

import { CallFailed, type ChannelOptions, failureOf, openChannel, serverStream } from "./calls.js";
import { KeysUnavailable } from "./errors.js";
import { TrustService } from "./generated/auth_api/v1/trust_pb.js";
import type { KeySet, LeftOut } from "./key-set.js";
import { CONSUMER_NAME, type KeySource, USER_AGENT } from "./sources.js";
import type { VerifiedToken } from "./token.js";
import { Trusted } from "./trusted.js";

const FIRST_MESSAGE_WITHIN = 10;
const SHORTEST_PAUSE = 0.2;
const PAUSE_AFTER_SUCCESS = 0.5;

export interface TrustStreamOptions extends ChannelOptions {
  /** null, spelled out, goes on with what was last known however long the service is away. */
  readonly maxStaleSeconds?: number | null;
  /** What this verifier is called in the service's list of those who take its keys. */
  readonly consumerName?: string;
  /** How long to wait for what is trusted at first. */
  readonly patienceSeconds?: number;
  readonly longestPauseSeconds?: number;
  /** Seconds that never go back. */
  readonly clock?: () => number;
}

/** How what is trusted is. */
export interface TrustHealth {
  readonly isFollowing: boolean;
  /** For how long the service may have known more than is known here. */
  readonly ageSeconds: number | undefined;
  /** Streams after the first. */
  readonly reconnects: number;
  /** Why the last stream ended, unless one is followed. */
  readonly error: string | undefined;
  /** Of the key ring. */
  readonly version: string;
  readonly keys: number;
  readonly revokedSessions: number;
  /** The keys that were told and that no token is judged by. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * A key source that knows which sessions have ended: give it to TokenVerifier as `keys`, and it asks for both.
 *
 * It begins with the first token, or with `open`, and goes on until it is closed.
 */
export class TrustStream implements KeySource {
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #maxStale: number;
  readonly #patience: number;
  readonly #longestPause: number;
  readonly #clock: () => number;
  readonly #trusted: Trusted;
  readonly #closing = new AbortController();
  readonly #settled: Promise<void>;
  #settle: () => void = () => undefined;
  #hasSettled = false;
  #streams = 0;
  #failures = 0;
  #error: string | undefined = "no stream was begun yet";

  constructor(target: string, options: TrustStreamOptions = {}) {
    const channelOptions = { "grpc.primary_user_agent": USER_AGENT, ...options.channelOptions };
    this.#client = openChannel(target, { ...options, channelOptions });
    if (options.consumerName) {
      this.#metadata.set(CONSUMER_NAME, options.consumerName);
    }
    this.#maxStale = options.maxStaleSeconds === null ? Infinity : (options.maxStaleSeconds ?? 24 * 3600);
    this.#patience = options.patienceSeconds ?? 5;
    this.#longestPause = options.longestPauseSeconds ?? 10;
    this.#clock = options.clock ?? (() => performance.now() / 1000);
    this.#trusted = new Trusted(this.#clock);
    this.#settled = new Promise((resolve) => {
      this.#settle = () => {
        this.#hasSettled = true;
        resolve();
      };
    });
  }

  /** Begins to follow, and waits for what is trusted, but no longer than patienceSeconds. Never rejects: see `health`. */
  async open(): Promise<this> {
    await this.lookAgain();
    return this;
  }

  /** Stops following. What was told stays until it is too old. */
  close(): void {
    this.#closing.abort();
    this.#client.close();
    this.#settle();
  }

  current(): KeySet {
    const { keys, trueAt } = this.#trusted;
    if (keys === undefined) {
      throw new KeysUnavailable("what is trusted has not been told yet");
    }
    if (this.#clock() - trueAt > this.#maxStale) {
      throw new KeysUnavailable("what is trusted is too old: the last message lies too far back");
    }
    return keys;
  }

  isRevoked(token: VerifiedToken): boolean {
    return this.#trusted.names(token.sessionId);
  }

  /** Waits for the first snapshot, if none has come yet and nothing failed. New keys come by themselves. */
  async lookAgain(): Promise<boolean> {
    if (this.#hasSettled) {
      return false;
    }
    if (this.#streams === 0) {
      void this.#follow();
    }
    const waiting = new AbortController();
    const patience = sleep(1000 * this.#patience, undefined, { signal: waiting.signal }).catch(() => undefined);
    await Promise.race([this.#settled, patience]);
    waiting.abort();
    return this.#trusted.keys !== undefined;
  }

  get health(): TrustHealth {
    const { keys, trueAt, revokedSessions } = this.#trusted;
    return {
      isFollowing: this.#error === undefined,
      ageSeconds: keys && this.#clock() - trueAt,
      reconnects: Math.max(0, this.#streams - 1),
      error: this.#error,
      version: keys?.version ?? "",
      keys: keys?.size ?? 0,
      revokedSessions,
      leftOut: keys?.leftOut ?? [],
    };
  }

  async #follow(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      this.#streams += 1;
      let least = 0;
      try {
        await this.#read();
        this.#error = "the stream came to its end";
      } catch (error) {
        // Whatever went wrong, what was told stays and the next stream is tried.
        const failure = isServiceError(error) ? failureOf(error) : error;
        this.#error = String(failure);
        least = failure instanceof CallFailed ? (failure.retryAfterSeconds ?? 0) : 0;
      }
      this.#failures += 1;
      this.#settle();
      await sleep(1000 * this.#pause(least), undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** Until the stream ends. */
  async #read(): Promise<void> {
    this.#trusted.begin();
    const request = { cursor: this.#trusted.cursor };
    const call = serverStream(this.#client, TrustService.method.watchTrust, request, this.#metadata);
    const stop = () => call.cancel();
    this.#closing.signal.addEventListener("abort", stop);
    const giveUp = () => call.destroy(new Error("nothing came, not even a heartbeat"));
    let silence = setTimeout(giveUp, 1000 * FIRST_MESSAGE_WITHIN);
    try {
      for await (const message of call) {
        clearTimeout(silence);
        this.#trusted.take(message);
        const within = 2 * (this.#trusted.heartbeatSeconds ?? FIRST_MESSAGE_WITHIN / 2);
        silence = setTimeout(giveUp, 1000 * within);
        if (message.cursor !== "") {
          this.#error = undefined;
          this.#failures = 0;
          this.#settle();
        }
      }
    } finally {
      clearTimeout(silence);
      this.#closing.signal.removeEventListener("abort", stop);
      call.cancel();
    }
  }

  /** Seconds until the next stream; spread, so that those whom a server left do not come back in step. */
  #pause(least: number): number {
    if (this.#failures <= 1) {
      return least + PAUSE_AFTER_SUCCESS * Math.random();
    }
    const longest = Math.min(this.#longestPause, SHORTEST_PAUSE * 2 ** this.#failures);
    return Math.max(least, longest * (0.5 + 0.5 * Math.random()));
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}
