// Verifies an identity assertion of the BFF with go-jose: reads it from stdin, prints its claims.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func verify(token, issuer, audience string, algorithm jose.SignatureAlgorithm) (claims map[string]any, err error) {
	response, err := http.Get(issuer + "/.well-known/jwks.json") // keep the document for five minutes
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var keys jose.JSONWebKeySet
	if err = json.NewDecoder(response.Body).Decode(&keys); err != nil {
		return nil, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, err
	}
	if parsed.Headers[0].ExtraHeaders["typ"] != "identity-assertion+jwt" {
		return nil, fmt.Errorf("not an identity assertion")
	}
	var standard jwt.Claims
	if err = parsed.Claims(&keys, &standard, &claims); err != nil { // chooses the key by kid
		return nil, err
	}
	if standard.Expiry == nil {
		return nil, fmt.Errorf("no exp")
	}
	expected := jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{audience}, Time: time.Now()}
	return claims, standard.ValidateWithLeeway(expected, 5*time.Second)
}

func main() {
	token, _ := io.ReadAll(os.Stdin)
	algorithm := jose.SignatureAlgorithm(os.Getenv("ALGORITHM"))
	if algorithm == "" {
		algorithm = jose.ES256
	}
	claims, err := verify(string(token), os.Getenv("BFF_URL"), os.Getenv("AUDIENCE"), algorithm)
	if err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(claims)
}
