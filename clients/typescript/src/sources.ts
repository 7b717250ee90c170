/** Where a verifier gets its keys from. */
import type { KeySet } from "./key-set.js";
import type { VerifiedToken } from "./token.js";

/**
 * The header by which a verifier says what it is called: a rotation waits for the verifiers that the service knows of,
 * and those behind one address look like one unless they have names.
 */
export const CONSUMER_NAME = "x-consumer-name";

/** What it is: so the service knows how often it fetches, and that it meets an unknown key by fetching. */
export const USER_AGENT = "auth-client (TypeScript)";

/** Keys in hand, and a way to ask whether there are newer ones. */
export interface KeySource {
  /** The keys to judge by, at once. Throws KeysUnavailable if none can be trusted. */
  current(): KeySet;

  /** Called when a token's key is unknown. True if `current` may answer differently than before the call. */
  lookAgain(): Promise<boolean>;

  /** Which tokens are no good although their keys are, where the source knows. Asked on every verification. */
  isRevoked?(token: VerifiedToken): boolean;
}

/** Keys that change only when their owner says so. */
export class FixedKeys implements KeySource {
  constructor(private keys: KeySet) {}

  replace(keys: KeySet): void {
    this.keys = keys;
  }

  current(): KeySet {
    return this.keys;
  }

  async lookAgain(): Promise<boolean> {
    return false;
  }
}
