package authclient_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"auth.example/authclient"
)

// vectors are what the verifiers of all languages are held to: tests/vectors/README.md.
type vectors struct {
	KeySets map[string]struct {
		JWKS        json.RawMessage `json:"jwks"`
		RevokedKids []string        `json:"revoked_kids"`
	} `json:"key_sets"`
	Cases []vector `json:"cases"`
}

type vector struct {
	Section         string   `json:"section"`
	Name            string   `json:"name"`
	Token           string   `json:"token"`
	TokenRepeat     int      `json:"token_repeat"`
	KeySet          string   `json:"key_set"`
	Issuer          string   `json:"issuer"`
	Audience        *string  `json:"audience"`
	LeewaySeconds   int      `json:"leeway_seconds"`
	Now             float64  `json:"now"`
	RevokedSessions []string `json:"revoked_sessions"`
	Accepted        bool     `json:"accepted"`
	Code            string   `json:"code"`
	Reason          string   `json:"reason"`
	Claims          *claims  `json:"claims"`
}

type claims struct {
	Subject    string   `json:"subject"`
	SessionID  string   `json:"session_id"`
	TokenID    string   `json:"token_id"`
	Issuer     string   `json:"issuer"`
	Audience   []string `json:"audience"`
	Roles      []string `json:"roles"`
	Scopes     []string `json:"scopes"`
	UserNumber int64    `json:"user_number"` // 0 for null.
	Username   string   `json:"username"`
	ClientID   string   `json:"client_id"`
	KeyID      string   `json:"key_id"`
	IssuedAt   float64  `json:"issued_at"`
	NotBefore  float64  `json:"not_before"`
	ExpiresAt  float64  `json:"expires_at"`
}

type revoking struct {
	authclient.FixedKeys
	sessions []string
}

func (r revoking) IsRevoked(token *authclient.Token) bool {
	return slices.Contains(r.sessions, token.SessionID)
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../../tests/vectors/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	accepted, refused, wrong := 0, 0, 0
	for _, each := range all.Cases {
		isRight := t.Run(each.Section+"/"+each.Name, func(t *testing.T) {
			set := all.KeySets[each.KeySet]
			keys, err := authclient.ParseKeySet(set.JWKS, "", set.RevokedKids...)
			if err != nil {
				t.Fatal(err)
			}
			token, err := each.verifier(t, keys).VerifyToken(t.Context(), strings.Repeat(each.Token, each.TokenRepeat))
			each.compare(t, token, err)
			if err == nil {
				accepted++
			} else {
				refused++
			}
		})
		if !isRight {
			wrong++
		}
	}
	t.Logf("vectors: %d accepted, %d refused, %d wrong", accepted, refused, wrong)
}

func (v vector) verifier(t *testing.T, keys *authclient.KeySet) *authclient.Verifier {
	leeway := time.Duration(v.LeewaySeconds) * time.Second
	if leeway == 0 {
		leeway = -1
	}
	whole, part := math.Modf(v.Now)
	expected := authclient.Expected{
		Issuer:      v.Issuer,
		AnyAudience: v.Audience == nil,
		Leeway:      leeway,
		Now:         func() time.Time { return time.Unix(int64(whole), int64(part*1e9)) },
	}
	if v.Audience != nil {
		expected.Audience = *v.Audience
	}
	source := revoking{authclient.NewFixedKeys(keys), v.RevokedSessions}
	verifier, err := authclient.NewVerifier(source, expected)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func (v vector) compare(t *testing.T, token *authclient.Token, err error) {
	refused, isRefused := errors.AsType[*authclient.RefusedError](err)
	switch {
	case isRefused && v.Accepted:
		t.Errorf("refused: %s: %s", refused.Reason, err)
	case isRefused:
		if got, want := string(refused.Code)+" "+string(refused.Reason), v.Code+" "+v.Reason; got != want {
			t.Errorf("refused with %s, expected %s: %s", got, want, err)
		}
		if token != nil {
			t.Error("refused, and yet a token")
		}
	case err != nil:
		t.Error(err)
	case !v.Accepted:
		t.Errorf("accepted, expected %s %s", v.Code, v.Reason)
	default:
		if got := told(token); !reflect.DeepEqual(got, v.Claims) {
			t.Errorf("says\n%+v, expected\n%+v", got, v.Claims)
		}
	}
}

func told(token *authclient.Token) *claims {
	return &claims{
		Subject:    token.Subject,
		SessionID:  token.SessionID,
		TokenID:    token.TokenID,
		Issuer:     token.Issuer,
		Audience:   token.Audience,
		Roles:      token.Roles,
		Scopes:     token.Scopes,
		UserNumber: token.UserNumber,
		Username:   token.Username,
		ClientID:   token.ClientID,
		KeyID:      token.KeyID,
		IssuedAt:   seconds(token.IssuedAt),
		NotBefore:  seconds(token.NotBefore),
		ExpiresAt:  seconds(token.ExpiresAt),
	}
}

func seconds(moment time.Time) float64 {
	return float64(moment.Unix()) + float64(moment.Nanosecond())/1e9
}
