// An S3 server for tests: gofakes3 in memory, behind a check of signatures by Amazon's own signer, and with the faults
// that a test asks for. s3 ADDRESS BUCKET ACCESS_KEY SECRET_KEY
//
// POST /_faults {"fail": 2, "status": 503, "delay_ms": 0}: the next two requests are answered so.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/signer/v4"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

type faults struct {
	Fail    int `json:"fail"`
	Status  int `json:"status"`
	DelayMs int `json:"delay_ms"`
}

type gate struct {
	sync.Mutex
	next   http.Handler
	keys   *credentials.Credentials
	access string
	faults faults
	writes sync.Mutex // a condition and what it allows are one step
	back   gofakes3.Backend
	bucket string
}

func (g *gate) refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	io.WriteString(w, "<Error><Code>"+code+"</Code><Message>"+code+"</Message></Error>")
}

// The signature that Amazon's code makes of what was said to be signed.
func (g *gate) isSigned(r *http.Request, body []byte) bool {
	said := r.Header.Get("Authorization")
	fields := map[string]string{}
	for _, part := range strings.Split(strings.TrimPrefix(said, "AWS4-HMAC-SHA256 "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	sum := sha256.Sum256(body)
	if err != nil || len(scope) != 5 || scope[0] != g.access || time.Since(at).Abs() > 15*time.Minute ||
		r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		return false
	}
	copied, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return false
	}
	for _, name := range strings.Split(fields["SignedHeaders"], ";") {
		if name != "host" && name != "x-amz-date" {
			copied.Header.Set(name, r.Header.Get(name))
		}
	}
	signer := v4.NewSigner(g.keys, func(s *v4.Signer) { s.DisableURIPathEscaping = true })
	if _, err := signer.Sign(copied, bytes.NewReader(body), scope[3], scope[2], at); err != nil {
		return false
	}
	return copied.Header.Get("Authorization") != "" &&
		strings.HasSuffix(copied.Header.Get("Authorization"), "Signature="+fields["Signature"])
}

func (g *gate) takeFault() faults {
	g.Lock()
	defer g.Unlock()
	now := g.faults
	if g.faults.Fail > 0 {
		g.faults.Fail--
	}
	return now
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.URL.Path == "/_faults" {
		g.Lock()
		g.faults = faults{}
		json.Unmarshal(body, &g.faults)
		g.Unlock()
		return
	}
	if fault := g.takeFault(); fault.Fail > 0 {
		time.Sleep(time.Duration(fault.DelayMs) * time.Millisecond)
		g.refuse(w, fault.Status, "SlowDown")
		return
	}
	if !g.isSigned(r, body) {
		g.refuse(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Header.Get("If-None-Match") == "*" {
		g.writes.Lock()
		defer g.writes.Unlock()
		if _, err := g.back.HeadObject(g.bucket, strings.TrimPrefix(r.URL.Path, "/"+g.bucket+"/")); err == nil {
			g.refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
	}
	g.next.ServeHTTP(w, r)
}

func main() {
	backend := s3mem.New()
	if err := backend.CreateBucket(os.Args[2]); err != nil {
		log.Fatal(err)
	}
	g := &gate{next: gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server(), access: os.Args[3], back: backend, bucket: os.Args[2],
		keys: credentials.NewStaticCredentials(os.Args[3], os.Args[4], "")}
	log.Fatal(http.ListenAndServe(os.Args[1], g))
}
