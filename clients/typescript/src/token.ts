/** What a verified access token says. Its signature and its claims were checked. */
export interface VerifiedToken {
  readonly subject: string;
  /** Empty if the token names no session. */
  readonly sessionId: string;
  readonly tokenId: string;
  readonly issuer: string;
  readonly audience: readonly string[];
  /** Of a person. Empty in a service's token, which has `scopes`. */
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  /** A 64-bit number, hence a bigint; absent where the person has none. */
  readonly userNumber: bigint | undefined;
  readonly username: string;
  readonly clientId: string;
  readonly keyId: string;
  /** Seconds since 1970, as are the two below. 0 if the token does not say. */
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly expiresAt: number;
}
