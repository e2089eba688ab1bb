// A busy program with the published Go SDK: go-sdk URL.
package main

import (
	"log"
	"os"
	"time"

	"github.com/grafana/pyroscope-go"
)

// busyFunction is what the flame graph must show.
//
//go:noinline
func busyFunction(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum += i * i % 7
	}
	return sum
}

func main() {
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "go-sdk",
		ServerAddress:   os.Args[1],
		Tags:            map[string]string{"region": "eu"},
		Logger:          pyroscope.StandardLogger,
		UploadRate:      5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	sum := 0
	for begin := time.Now(); time.Since(begin) < 7*time.Second; {
		sum += busyFunction(1_000_000)
	}
	if err := profiler.Stop(); err != nil {
		log.Fatal(err)
	}
	log.Print(sum)
}
