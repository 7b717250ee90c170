package authclient

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	longestText  = 255  // Characters.
	longestScope = 1024 // Characters.
	// The year 9999, less some: times are from 1970 to here, whole or not.
	endOfTime = 253_370_764_800
)

// rules is what is expected of a token.
type rules struct {
	issuer      string
	audience    string
	anyAudience bool
	leeway      float64 // Seconds.
}

// believe is the token of a payload whose signature holds (RFC 7519 section 4.1, RFC 9068 section 2.2).
func believe(payload []byte, kid string, rules rules, now float64) (*Token, error) {
	members, err := jsonObject(payload)
	if err != nil {
		return nil, invalid(Malformed, "the payload is not a strict JSON object")
	}
	token, err := shaped(members)
	if err != nil {
		return nil, err
	}
	if members["iss"] != rules.issuer {
		return nil, invalid(BadIssuer, "the token comes from another issuer")
	}
	if !rules.anyAudience && !slices.Contains(token.Audience, rules.audience) {
		return nil, invalid(BadAudience, "the token is meant for another audience")
	}
	if hasNUL(token) {
		return nil, invalid(BadClaim, "a claim contains NUL")
	}
	if err := checkTime(token, rules, now); err != nil {
		return nil, err
	}
	token.Issuer, token.KeyID, token.Payload = rules.issuer, kid, payload
	return token, nil
}

func shaped(members map[string]any) (*Token, error) {
	claims := claims{members: members}
	token := &Token{
		Subject:    claims.text("sub", longestText),
		SessionID:  claims.text("sid", longestText),
		TokenID:    claims.text("jti", longestText),
		ClientID:   claims.text("client_id", longestText),
		Username:   claims.text("username", longestText),
		Audience:   claims.audience(),
		Roles:      claims.texts("roles"),
		Scopes:     strings.FieldsFunc(claims.text("scope", longestScope), func(r rune) bool { return r == ' ' }),
		UserNumber: claims.userNumber(),
		exp:        claims.seconds("exp"),
		iat:        claims.seconds("iat"),
		nbf:        claims.seconds("nbf"),
	}
	claims.text("role", longestText)
	if _, isThere := members["exp"]; !isThere {
		claims.refuse("exp")
	}
	if token.Subject == "" {
		claims.refuse("sub")
	}
	token.ExpiresAt, token.IssuedAt, token.NotBefore = fromSeconds(token.exp), fromSeconds(token.iat), fromSeconds(token.nbf)
	return token, claims.err
}

// checkTime refuses unless now lies in the token's time, give or take the leeway.
func checkTime(token *Token, rules rules, now float64) error {
	if now >= token.exp+rules.leeway {
		return &RefusedError{Code: TokenExpired, Reason: Expired, message: "the token has expired"}
	}
	latest := now + rules.leeway
	if token.iat > latest || token.nbf > latest {
		return invalid(NotYetValid, "the token is not valid yet")
	}
	return nil
}

// hasNUL looks for what databases and C libraries would cut a text at, and so take it for another.
func hasNUL(token *Token) bool {
	texts := slices.Concat(
		[]string{token.Subject, token.SessionID, token.TokenID, token.ClientID, token.Username}, token.Scopes, token.Roles,
	)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.ContainsRune(text, 0) })
}

// claims reads members by their one right type, and keeps the first error: no text for a number, no null for nothing.
// What is absent is the zero value.
type claims struct {
	members map[string]any
	err     error
}

func (c *claims) refuse(name string) {
	if c.err == nil {
		// The name and never the value.
		c.err = invalid(BadClaim, fmt.Sprintf("the claim %s is not what it must be", name))
	}
}

func (c *claims) text(name string, longest int) string {
	value, isThere := c.members[name]
	text, ok := value.(string)
	if isThere && (!ok || utf8.RuneCountInString(text) > longest) {
		c.refuse(name)
	}
	return text
}

func (c *claims) texts(name string) []string {
	value, isThere := c.members[name]
	list, ok := value.([]any)
	if isThere && !ok {
		c.refuse(name)
	}
	texts := make([]string, 0, len(list))
	for _, each := range list {
		text, ok := each.(string)
		if !ok {
			c.refuse(name)
		}
		texts = append(texts, text)
	}
	return texts
}

func (c *claims) audience() []string {
	if one, ok := c.members["aud"].(string); ok {
		return []string{one}
	}
	return c.texts("aud")
}

func (c *claims) seconds(name string) float64 {
	value, isThere := c.members[name]
	if !isThere {
		return 0
	}
	number, _ := value.(json.Number)
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 0 || seconds >= endOfTime {
		c.refuse(name)
	}
	return seconds
}

func (c *claims) userNumber() int64 {
	value, isThere := c.members["usernumber"]
	if !isThere {
		return 0
	}
	// Refuses 5.0 and 5e0 as well: it is an integer, and there is one way to write it.
	number, _ := value.(json.Number)
	userNumber, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || userNumber < 1 {
		c.refuse("usernumber")
	}
	return userNumber
}
