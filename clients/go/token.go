package authclient

import (
	"encoding/json"
	"math"
	"time"
)

// Token is what an access token says whose signature and claims were checked. Treat it as constant.
type Token struct {
	Subject string
	// SessionID is empty if the token names no session.
	SessionID string
	TokenID   string
	Issuer    string
	Audience  []string
	// Roles is what a person may do. Empty in the token of a service, which has Scopes.
	Roles  []string
	Scopes []string
	// UserNumber is 0 where the person has none.
	UserNumber int64
	Username   string
	ClientID   string
	KeyID      string
	ExpiresAt  time.Time
	// IssuedAt is the start of 1970 if the token does not say, so that any "signed in after" mark refuses it.
	IssuedAt time.Time
	// NotBefore is the start of 1970 if the token does not say.
	NotBefore time.Time
	// Payload is the signed JSON, byte for byte.
	Payload []byte

	// Seconds since 1970, as they stood in the token.
	exp, iat, nbf float64
}

// Claims is all that the token says, decoded afresh at each call.
func (t *Token) Claims() map[string]any {
	var claims map[string]any
	// It was read before, or there were no Token.
	_ = json.Unmarshal(t.Payload, &claims)
	return claims
}

func fromSeconds(seconds float64) time.Time {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

func toSeconds(moment time.Time) float64 {
	return float64(moment.Unix()) + float64(moment.Nanosecond())/1e9
}
