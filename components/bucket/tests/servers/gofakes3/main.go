// An S3 server in memory with one empty bucket, which answers Google's XML API, too: that one differs in a few headers.
//
// It prints its URL and serves until it is killed.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// asS3 translates what Google calls otherwise.
func asS3(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source := r.Header.Get("X-Goog-Copy-Source"); source != "" {
			r.Header.Set("X-Amz-Copy-Source", source)
		}
		if r.Header.Get("X-Goog-If-Generation-Match") == "0" {
			r.Header.Set("If-None-Match", "*")
		}
		next.ServeHTTP(w, r)
	})
}

func main() {
	backend := s3mem.New()
	if err := backend.CreateBucket(os.Args[1]); err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	panic(http.Serve(listener, asS3(gofakes3.New(backend).Server())))
}
