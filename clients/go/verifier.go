// Package authclient checks access tokens of auth-service in this process: no network hop, and none in sight while the
// signing key is known. Where keys come from: FixedKeys, HTTPKeys, or authgrpc.TrustStream, which also tells which
// sessions have ended.
package authclient

//go:generate buf generate

import (
	"context"
	"errors"
	"time"
)

const (
	usualLeeway   = time.Minute
	longestLeeway = 5 * time.Minute
)

// KeySource is keys in hand, and a way to ask whether there are newer ones.
type KeySource interface {
	// Current is the keys to judge by, at once and without I/O; ErrKeysUnavailable if none can be trusted.
	Current() (*KeySet, error)
	// LookAgain is called when a token's key is unknown. True if Current may answer differently than before the call.
	LookAgain(ctx context.Context) bool
}

// Revocations is what a KeySource may know besides: which tokens are no good although their keys are.
type Revocations interface {
	// IsRevoked is asked on every verification; it answers at once and without I/O.
	IsRevoked(token *Token) bool
}

// Expected is what a Verifier asks of a token.
type Expected struct {
	// Issuer is what `iss` must be, to the letter.
	Issuer string
	// Audience must be among `aud`, unless AnyAudience takes tokens meant for anybody.
	Audience    string
	AnyAudience bool
	// Leeway is by how much clocks may differ, up to 5 minutes. 0 stands for a minute, anything negative for none.
	Leeway time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Verifier says what an access token says, or why it must not be believed. Safe for concurrent use.
type Verifier struct {
	rules       rules
	source      KeySource
	revocations Revocations
	now         func() time.Time
}

// NewVerifier fails if what is expected is not spelt out.
func NewVerifier(keys KeySource, expected Expected) (*Verifier, error) {
	if expected.Issuer == "" || (expected.Audience == "") != expected.AnyAudience {
		return nil, errors.New("expected an issuer, and either an audience or AnyAudience")
	}
	switch {
	case expected.Leeway > longestLeeway:
		return nil, errors.New("expected a leeway of 5 minutes at most")
	case expected.Leeway == 0:
		expected.Leeway = usualLeeway
	case expected.Leeway < 0:
		expected.Leeway = 0
	}
	if expected.Now == nil {
		expected.Now = time.Now
	}
	revocations, _ := keys.(Revocations)
	return &Verifier{
		rules:       rules{expected.Issuer, expected.Audience, expected.AnyAudience, expected.Leeway.Seconds()},
		source:      keys,
		revocations: revocations,
		now:         expected.Now,
	}, nil
}

// VerifyToken is VerifyNow, but an unknown key, or having no keys at all, is first taken up with the key source.
func (v *Verifier) VerifyToken(ctx context.Context, token string) (*Token, error) {
	verified, err := v.VerifyNow(token)
	if !mayBeOutdated(err) || !v.source.LookAgain(ctx) {
		return verified, err
	}
	return v.VerifyNow(token)
}

// VerifyNow is what token says, judged by the keys in hand; it never does I/O. The error is a *RefusedError, or
// ErrKeysUnavailable if there is no verdict.
func (v *Verifier) VerifyNow(token string) (*Token, error) {
	keys, err := v.source.Current()
	if err != nil {
		return nil, err
	}
	verified, err := check(token, keys, v.rules, toSeconds(v.now()))
	if err != nil {
		return nil, err
	}
	if v.revocations != nil && v.revocations.IsRevoked(verified) {
		return nil, &RefusedError{Code: TokenRevoked, Reason: Revoked, message: "the session of the token was ended"}
	}
	return verified, nil
}

func mayBeOutdated(err error) bool {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Reason == UnknownKey
	}
	return errors.Is(err, ErrKeysUnavailable)
}

// FixedKeys is a KeySource that never changes.
type FixedKeys struct{ keys *KeySet }

// NewFixedKeys is a source of just these keys.
func NewFixedKeys(keys *KeySet) FixedKeys { return FixedKeys{keys} }

// Current is always the same.
func (f FixedKeys) Current() (*KeySet, error) { return f.keys, nil }

// LookAgain finds nothing new.
func (f FixedKeys) LookAgain(context.Context) bool { return false }
