/** Check access tokens of auth-service in your own process. What follows the trust stream is in `auth-client/trust`. */
export { AuthClientError, type Code, KeySetRefused, KeysUnavailable, type Reason, TokenRefused } from "./errors.js";
export { KeySet } from "./key-set.js";
export { FixedKeys, type KeySource } from "./sources.js";
export type { VerifiedToken } from "./token.js";
export { TokenVerifier, type TokenVerifierOptions } from "./verifier.js";
