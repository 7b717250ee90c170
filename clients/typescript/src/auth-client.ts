/** Signing in at auth-service: the calls, and a session that keeps an access token which is good. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@grpc/grpc-js";
import { setTimeout as sleep } from "node:timers/promises";

import { CallFailed, type ChannelOptions, openChannel, unary } from "./calls.js";
import { AuthService } from "./generated/auth_api/v1/auth_pb.js";

const DEADLINE = 5;
/** A password may wait for its turn to be hashed. */
const LOGIN_DEADLINE = 10;
const ATTEMPTS = 4;

/** What a person signs in with. `refreshToken` is spent by the next refresh. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
  readonly sessionId: string;
}

/** Calls reject with CallFailed. All but login are tried up to four times while the service is away. */
export class AuthClient {
  readonly #client: Client;

  constructor(target: string, options: ChannelOptions = {}) {
    this.#client = openChannel(target, options);
  }

  /** `newPassword` is for whoever must change theirs first: PASSWORD_CHANGE_REQUIRED. */
  async login(username: string, password: string, { newPassword = "" } = {}): Promise<TokenPair> {
    // A wrong password counts, so it is never sent twice.
    const request = { username, password, newPassword };
    return pairOf(await unary(this.#client, AuthService.method.login, request, LOGIN_DEADLINE));
  }

  async refresh(refreshToken: string): Promise<TokenPair> {
    return pairOf(await this.#call(AuthService.method.refresh, { refreshToken }));
  }

  async logout(refreshToken: string): Promise<void> {
    await this.#call(AuthService.method.logout, { refreshToken });
  }

  /** An access token for a service. It has scopes, and no refresh token: sign in again. */
  async loginService(apiKey: string): Promise<{ accessToken: string; expiresInSeconds: number }> {
    const { accessToken, expiresIn } = await this.#call(AuthService.method.loginService, { apiKey });
    return { accessToken, expiresInSeconds: secondsOf(expiresIn) };
  }

  close(): void {
    this.#client.close();
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const end = performance.now() / 1000 + DEADLINE;
    for (let attempt = 1; ; attempt += 1) {
      const left = end - performance.now() / 1000;
      try {
        return await unary(this.#client, method, request, left);
      } catch (error) {
        const pause = error instanceof CallFailed ? pauseAfter(error, attempt) : undefined;
        if (pause === undefined || pause >= end - performance.now() / 1000) {
          throw error;
        }
        await sleep(1000 * pause);
      }
    }
  }
}

/** Seconds until the next attempt; undefined if there is no point. */
function pauseAfter(error: CallFailed, attempt: number): number | undefined {
  if (error.code !== "UNAVAILABLE" || attempt >= ATTEMPTS) {
    return undefined;
  }
  return error.retryAfterSeconds ?? Math.min(0.1 * 2 ** (attempt - 1), 1) * (0.8 + 0.4 * Math.random());
}

/** A token is renewed in the last fifth of its life; so many seconds before its end it is no longer sent. */
const AHEAD = 0.8;
const MARGIN = 10;
/** Seconds after a renewal that failed until the next one, while the token is good. */
const PAUSE = 1;
/** A service that refuses whatever we bring causes one renewal in so many seconds, not one for each call. */
const PAUSE_WHEN_REJECTED = 10;

/**
 * A session of a person: signs in when first needed, and renews its token once for all who wait.
 *
 * When a refresh is refused it signs in again. While the service is away the token goes on being used to its end. It does
 * not end the session: see AuthClient.logout.
 */
export class Session {
  #pair: TokenPair | undefined;
  #renewAt = -Infinity;
  #goodUntil = -Infinity;
  #rejectedAt = -Infinity;
  #renewing: Promise<TokenPair> | undefined;

  constructor(
    private readonly auth: AuthClient,
    private readonly username: string,
    private readonly password: string,
    private readonly clock: () => number = () => performance.now() / 1000,
  ) {}

  /** For the next call. Rejects with CallFailed. */
  async accessToken(): Promise<string> {
    if (this.#pair !== undefined && this.clock() < this.#renewAt) {
      return this.#pair.accessToken;
    }
    try {
      return (await this.#renew()).accessToken;
    } catch (error) {
      if (this.#pair === undefined || this.clock() >= this.#goodUntil) {
        throw error;
      }
      this.#renewAt = this.clock() + ((error instanceof CallFailed ? error.retryAfterSeconds : undefined) ?? PAUSE);
      return this.#pair.accessToken;
    }
  }

  /** The one that is good now, to go on with the session later or to end it. */
  get refreshToken(): string | undefined {
    return this.#pair?.refreshToken;
  }

  /**
   * To be called where another service refused `accessToken`, and not only as expired or revoked: whoever fetches keys calls
   * a token of a revoked key invalid, and most gateways give no reason. True if the next one may be better; false if another
   * one was rejected less than 10 seconds ago.
   */
  reject(accessToken: string): boolean {
    if (this.#pair?.accessToken !== accessToken) {
      return true;
    }
    if (this.clock() < this.#rejectedAt + PAUSE_WHEN_REJECTED) {
      return false;
    }
    this.#rejectedAt = this.clock();
    this.#renewAt = this.#goodUntil = -Infinity;
    return true;
  }

  #renew(): Promise<TokenPair> {
    this.#renewing ??= this.#ask()
      .then((pair) => {
        this.#pair = pair;
        this.#renewAt = this.clock() + pair.expiresInSeconds * AHEAD;
        this.#goodUntil = this.clock() + pair.expiresInSeconds - Math.min(MARGIN, pair.expiresInSeconds / 10);
        return pair;
      })
      .finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #ask(): Promise<TokenPair> {
    if (this.#pair !== undefined) {
      try {
        return await this.auth.refresh(this.#pair.refreshToken);
      } catch (error) {
        if (!(error instanceof CallFailed && error.code === "UNAUTHENTICATED")) {
          throw error;
        }
        this.#pair = undefined;
      }
    }
    return this.auth.login(this.username, this.password);
  }
}

interface PairMessage {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresIn?: Duration | undefined;
  readonly sessionId: string;
}

function pairOf({ accessToken, refreshToken, expiresIn, sessionId }: PairMessage): TokenPair {
  return { accessToken, refreshToken, expiresInSeconds: secondsOf(expiresIn), sessionId };
}

function secondsOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : durationMs(duration) / 1000;
}
