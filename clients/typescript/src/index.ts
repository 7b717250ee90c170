/** Check access tokens of auth-service in your own process, by its key set or by its trust stream; and sign in at it. */
export { AuthClient, Session, type TokenPair } from "./auth-client.js";
export { CallFailed, type ChannelOptions } from "./calls.js";
export { AuthClientError, type Code, KeySetRefused, KeysUnavailable, type Reason, TokenRefused } from "./errors.js";
export { HttpJwks, type HttpJwksOptions, type KeyHealth } from "./http-jwks.js";
export { KeySet, type LeftOut } from "./key-set.js";
export { FixedKeys, type KeySource } from "./sources.js";
export type { VerifiedToken } from "./token.js";
export { type TrustHealth, TrustStream, type TrustStreamOptions } from "./trust-stream.js";
export { TokenVerifier, type TokenVerifierOptions } from "./verifier.js";
