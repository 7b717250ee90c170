/**
 * Keys from a JWKS URL, kept fresh in the background, so that a slow or dead endpoint delays no token.
 *
 *     a fetch succeeded     the next one comes at about 80 % of max-age
 *     a fetch failed        the old keys stay; the next try comes after 10 s (0.5 s, doubling to 10 s, if there are none)
 *     an unknown kid        one fetch for all who ask, then none on their account until the cool-down has passed
 *     no success for long   past maxStaleSeconds the keys are no longer trusted: KeysUnavailable
 *
 * It follows no redirects, reads no more than 256 KiB, and replaces good keys neither by a broken set nor by none.
 */
import { KeySetRefused, KeysUnavailable } from "./errors.js";
import { KeySet, type LeftOut } from "./key-set.js";
import { CONSUMER_NAME, type KeySource, USER_AGENT } from "./sources.js";

const LARGEST_BODY = 256 * 1024;
const FIRST_BACK_OFF = 0.5;
const BACK_OFF = 10;
const MAX_AGE = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})/i;
const NO_LIFETIME = /(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])/i;

export interface HttpJwksOptions {
  /** Between two fetches for unknown keys. */
  readonly coolDownSeconds?: number;
  readonly maxStaleSeconds?: number;
  /** Of a whole fetch. */
  readonly timeoutSeconds?: number;
  /** max-age is honoured between these two. */
  readonly shortestLifeSeconds?: number;
  readonly longestLifeSeconds?: number;
  /** Where the endpoint does not say. */
  readonly usualLifeSeconds?: number;
  /** What this verifier is called in the service's list of those who take its keys. */
  readonly consumerName?: string;
  /** For proxies and certificates of your own. */
  readonly fetch?: typeof fetch;
  /** Seconds that never go back. */
  readonly clock?: () => number;
}

/** How the keys are. `ageSeconds` is the time since the last success; `error` is why the last fetch failed, if it did. */
export interface KeyHealth {
  readonly ageSeconds: number | undefined;
  readonly error: string | undefined;
  readonly version: string;
  readonly keys: number;
  /** The keys of the set in hand that no token is judged by. */
  readonly leftOut: readonly LeftOut[];
}

interface Fetched {
  readonly keys: KeySet;
  readonly lifeSeconds: number;
}

const DEFAULTS = {
  coolDownSeconds: 30,
  maxStaleSeconds: 24 * 3600,
  timeoutSeconds: 5,
  shortestLifeSeconds: 10,
  longestLifeSeconds: 3600,
  usualLifeSeconds: 300,
  consumerName: "",
  clock: () => performance.now() / 1000,
};

/** A key source over HTTP(S). It begins with the first token, or with `refresh`, and goes on until it is closed. */
export class HttpJwks implements KeySource {
  readonly #url: URL;
  readonly #options: typeof DEFAULTS;
  readonly #fetcher: typeof fetch;
  readonly #closing = new AbortController();
  #keys: KeySet | undefined;
  #life: number;
  #succeededAt = -Infinity;
  #triedAt = -Infinity;
  #askedAt = -Infinity;
  #failures = 0;
  #error: string | undefined;
  #fetching: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(url: string | URL, options: HttpJwksOptions = {}) {
    this.#url = new URL(url);
    if (!["http:", "https:"].includes(this.#url.protocol)) {
      throw new TypeError("the JWKS URL must begin with http:// or https://");
    }
    const { fetch: fetcher = fetch, ...others } = options;
    this.#fetcher = fetcher;
    this.#options = { ...DEFAULTS, ...others };
    this.#life = this.#options.usualLifeSeconds;
  }

  current(): KeySet {
    if (this.#keys === undefined) {
      throw new KeysUnavailable("no key set has been fetched yet");
    }
    if (!this.#isTrusted()) {
      throw new KeysUnavailable("the key set is too old: the last fetch that succeeded lies too far back");
    }
    return this.#keys;
  }

  /** Joins the fetch under way, or starts one if that is due. True if it succeeded. */
  async lookAgain(): Promise<boolean> {
    if (this.#fetching === undefined) {
      const now = this.#options.clock();
      if (this.#closing.signal.aborted || now < this.#nextAsk(now)) {
        return false;
      }
      // The first fetch is on nobody's account: a key published just after it may still be asked for.
      if (this.#isTrusted()) {
        this.#askedAt = now;
      }
    }
    await this.refresh();
    return this.#error === undefined;
  }

  /** Fetches now, whatever the cool-down says, and keeps fresh from then on. Never rejects: see `health`. */
  async refresh(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    }
    await this.#fetching;
  }

  get health(): KeyHealth {
    return {
      ageSeconds: this.#keys && this.#options.clock() - this.#succeededAt,
      error: this.#error,
      version: this.#keys?.version ?? "",
      keys: this.#keys?.size ?? 0,
      leftOut: this.#keys?.leftOut ?? [],
    };
  }

  /** Stops fetching. The keys in hand stay until they are too old. */
  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
  }

  #isTrusted(): boolean {
    return this.#options.clock() - this.#succeededAt <= this.#options.maxStaleSeconds;
  }

  /** Seconds to leave a failing endpoint alone. */
  #backOff(): number {
    return this.#isTrusted() ? BACK_OFF : Math.min(FIRST_BACK_OFF * 2 ** (this.#failures - 1), BACK_OFF);
  }

  /** When an unknown kid, or a verifier without keys, may next cause a fetch. */
  #nextAsk(now: number): number {
    const afterFailure = this.#failures > 0 ? this.#triedAt + this.#backOff() : now;
    return this.#isTrusted() ? Math.max(afterFailure, this.#askedAt + this.#options.coolDownSeconds) : afterFailure;
  }

  async #fetch(): Promise<void> {
    const { clock, shortestLifeSeconds, longestLifeSeconds } = this.#options;
    this.#triedAt = clock();
    try {
      const { keys, lifeSeconds } = await this.#ask();
      this.#keys = keys;
      this.#life = Math.min(Math.max(lifeSeconds, shortestLifeSeconds), longestLifeSeconds);
      this.#succeededAt = clock();
      this.#failures = 0;
      this.#error = undefined;
    } catch (error) {
      // Whatever went wrong, the old keys stay and the back-off begins.
      this.#failures += 1;
      this.#error = told(error);
    }
    this.#plan();
  }

  /** Sets the timer for the next fetch; spread, so that a fleet does not ask in step. It keeps no process alive. */
  #plan(): void {
    // From the start of the try, so that an endpoint that hangs until the timeout is not noticed later to be back.
    const after = this.#triedAt + this.#backOff() - this.#options.clock();
    const wait = this.#failures > 0 ? Math.max(0, after) : this.#life * 0.8;
    clearTimeout(this.#timer);
    if (!this.#closing.signal.aborted) {
      this.#timer = setTimeout(() => void this.refresh(), 1000 * wait * (0.95 + 0.1 * Math.random())).unref();
    }
  }

  /** The key set as the endpoint has it now, and for how long it may be kept. */
  async #ask(): Promise<Fetched> {
    const headers: Record<string, string> = {
      accept: "application/jwk-set+json, application/json",
      "user-agent": USER_AGENT,
    };
    if (this.#keys?.version) {
      headers["if-none-match"] = this.#keys.version;
    }
    if (this.#options.consumerName) {
      headers[CONSUMER_NAME] = this.#options.consumerName;
    }
    const timeout = AbortSignal.timeout(1000 * this.#options.timeoutSeconds);
    const signal = AbortSignal.any([timeout, this.#closing.signal]);
    const reply = await this.#fetcher(this.#url, { headers, redirect: "manual", signal });
    const lifeSeconds = lifeOf(reply.headers, this.#options.usualLifeSeconds);
    if (reply.status === 304 && this.#keys?.version) {
      return { keys: this.#keys, lifeSeconds };
    }
    if (reply.status !== 200) {
      await reply.body?.cancel();
      throw new KeySetRefused(`the JWKS endpoint answered ${reply.status}`);
    }
    const keys = KeySet.fromJwks(await bodyOf(reply), { version: reply.headers.get("etag") ?? "" });
    if (keys.size === 0) {
      const why = keys.leftOut.slice(0, 3).map((each) => `; ${JSON.stringify(each.kid)} ${each.why}`);
      throw new KeySetRefused(`the JWKS holds no usable key${why.join("")}`);
    }
    return { keys, lifeSeconds };
  }
}

async function bodyOf(reply: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of reply.body ?? []) {
    size += chunk.length;
    if (size > LARGEST_BODY) {
      throw new KeySetRefused("the JWKS is larger than 256 KiB");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Seconds that a reply stays fresh (RFC 9111 section 4.2.1): max-age less the Age it already has. */
function lifeOf(headers: Headers, usual: number): number {
  const cacheControl = headers.get("cache-control") ?? "";
  if (NO_LIFETIME.test(cacheControl)) {
    return 0;
  }
  const found = MAX_AGE.exec(cacheControl);
  const age = headers.get("age") ?? "";
  return found === null ? usual : Number(found[1]) - (/^\d{1,9}$/.test(age) ? Number(age) : 0);
}

/** fetch says only "fetch failed", and why in its cause. */
function told(error: unknown): string {
  const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
  return `${name}: ${message}${cause instanceof Error ? ` (${cause.message})` : ""}`;
}
