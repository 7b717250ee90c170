/**
 * Everything this library throws on purpose.
 *
 *     AuthClientError
 *     ├── TokenRefused       the token is no good: `code` is what an outsider may hear, `reason` is for logs and metrics
 *     ├── KeysUnavailable    no verdict: there are no keys, or they are too old to trust
 *     ├── KeySetRefused      a document is no JSON Web Key Set
 *     └── CallFailed         the identity service refused a call of yours, or could not be reached
 *
 * No message ever contains the token.
 */
export class AuthClientError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

const CODES = {
  malformed: "TOKEN_INVALID",
  too_large: "TOKEN_INVALID",
  header: "TOKEN_INVALID",
  algorithm: "TOKEN_INVALID",
  typ: "TOKEN_INVALID",
  crit: "TOKEN_INVALID",
  unknown_key: "TOKEN_INVALID",
  signature: "TOKEN_INVALID",
  issuer: "TOKEN_INVALID",
  audience: "TOKEN_INVALID",
  claim: "TOKEN_INVALID",
  not_yet_valid: "TOKEN_INVALID",
  expired: "TOKEN_EXPIRED",
  revoked: "TOKEN_REVOKED",
  revoked_key: "TOKEN_REVOKED",
} as const;

/** Why a token is refused; the same words as in the other languages. */
export type Reason = keyof typeof CODES;
export type Code = (typeof CODES)[Reason];

/** The token must not be believed. */
export class TokenRefused extends AuthClientError {
  readonly code: Code;

  constructor(
    readonly reason: Reason,
    message: string,
  ) {
    super(message);
    this.code = CODES[reason];
  }
}

/** Nothing can be said about the token, because there are no keys fresh enough to judge it. Try again later. */
export class KeysUnavailable extends AuthClientError {}

/** The document is not a JSON Web Key Set. */
export class KeySetRefused extends AuthClientError {}
