package authclient

import "errors"

// Code is what an outsider may hear about a token that is no good.
type Code string

// The codes of a RefusedError; the service itself answers with the same.
const (
	// TokenInvalid: forged, broken, meant for somebody else, or signed by a key that is not known.
	TokenInvalid Code = "TOKEN_INVALID"
	// TokenExpired: genuine, but its time is over. Refresh and try again.
	TokenExpired Code = "TOKEN_EXPIRED"
	// TokenRevoked: its session was ended, or its signing key was withdrawn for cause.
	TokenRevoked Code = "TOKEN_REVOKED"
)

// Reason is the finer cause behind a Code: stable, the same in each language, and meant for logs and metrics only.
type Reason string

// The reasons of a RefusedError.
const (
	Malformed    Reason = "malformed"
	TooLarge     Reason = "too_large"
	BadHeader    Reason = "header"
	BadAlgorithm Reason = "algorithm"
	BadType      Reason = "typ"
	Critical     Reason = "crit"
	UnknownKey   Reason = "unknown_key"
	RevokedKey   Reason = "revoked_key"
	BadSignature Reason = "signature"
	BadIssuer    Reason = "issuer"
	BadAudience  Reason = "audience"
	BadClaim     Reason = "claim"
	NotYetValid  Reason = "not_yet_valid"
	Expired      Reason = "expired"
	Revoked      Reason = "revoked"
)

// RefusedError says that a token must not be believed. It never contains the token.
type RefusedError struct {
	Code   Code
	Reason Reason

	message string
}

func (e *RefusedError) Error() string { return e.message }

var (
	// ErrKeysUnavailable is no verdict on a token: there are no keys, or they are too old to trust. Try again later.
	ErrKeysUnavailable = errors.New("no keys to judge by")
	// ErrKeySetRefused says that a document is no JSON Web Key Set, or cannot replace the one in hand.
	ErrKeySetRefused = errors.New("no JSON Web Key Set")
)

func invalid(reason Reason, message string) error {
	return &RefusedError{Code: TokenInvalid, Reason: reason, message: message}
}
