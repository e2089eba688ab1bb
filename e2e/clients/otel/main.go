// Is busy in one function, profiles itself, and exports that as OTLP profiles with OpenTelemetry's own library until it is
// killed: otel grpc|protobuf|json URL.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
)

//go:noinline
func busyFunction(state uint64) uint64 {
	for i := 0; i < 10_000_000; i++ {
		state = state*6364136223846793005 + 1
	}
	return state
}

var sink uint64

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: otel grpc|protobuf|json URL")
	}
	protocol, server := os.Args[1], os.Args[2]
	for {
		taken, err := profileOfOneSecond()
		if err != nil {
			log.Fatal(err)
		}
		request, err := export(taken, "otel-"+protocol)
		if err != nil {
			log.Fatal(err)
		}
		if protocol == "grpc" {
			err = sendGRPC(server, request)
		} else {
			err = sendHTTP(server, protocol, request)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

func profileOfOneSecond() (*profile.Profile, error) {
	var buffer bytes.Buffer
	if err := pprof.StartCPUProfile(&buffer); err != nil {
		return nil, err
	}
	for begin := time.Now(); time.Since(begin) < time.Second; {
		sink = busyFunction(sink)
	}
	pprof.StopCPUProfile()
	return profile.Parse(&buffer)
}

// tables fills the dictionary of a request; entry 0 of each table stands for nothing.
type tables struct {
	dictionary pprofile.ProfilesDictionary
	err        error
}

func newTables(dictionary pprofile.ProfilesDictionary) *tables {
	dictionary.StringTable().Append("")
	dictionary.MappingTable().AppendEmpty()
	dictionary.LocationTable().AppendEmpty()
	dictionary.FunctionTable().AppendEmpty()
	dictionary.LinkTable().AppendEmpty()
	dictionary.AttributeTable().AppendEmpty()
	dictionary.StackTable().AppendEmpty()
	return &tables{dictionary: dictionary}
}

func (t *tables) keep(index int32, err error) int32 {
	if err != nil && t.err == nil {
		t.err = err
	}
	return index
}

func (t *tables) string(text string) int32 {
	return t.keep(pprofile.SetString(t.dictionary.StringTable(), text))
}

func (t *tables) stack(locations []*profile.Location) int32 {
	stack := pprofile.NewStack()
	for _, from := range locations {
		location := pprofile.NewLocation()
		location.SetAddress(from.Address)
		for _, line := range from.Line {
			function := pprofile.NewFunction()
			function.SetNameStrindex(t.string(line.Function.Name))
			function.SetFilenameStrindex(t.string(line.Function.Filename))
			to := location.Lines().AppendEmpty()
			to.SetFunctionIndex(t.keep(pprofile.SetFunction(t.dictionary.FunctionTable(), function)))
			to.SetLine(line.Line)
		}
		stack.LocationIndices().Append(t.keep(pprofile.SetLocation(t.dictionary.LocationTable(), location)))
	}
	return t.keep(pprofile.SetStack(t.dictionary.StackTable(), stack))
}

// export is a request as an eBPF profiler makes it: samples that count, and the time that each stands for.
func export(taken *profile.Profile, service string) (pprofileotlp.ExportRequest, error) {
	profiles := pprofile.NewProfiles()
	tables := newTables(profiles.Dictionary())
	resource := profiles.ResourceProfiles().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", service)
	resource.Resource().Attributes().PutStr("region", "eu")
	to := resource.ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
	to.SampleType().SetTypeStrindex(tables.string("samples"))
	to.SampleType().SetUnitStrindex(tables.string("count"))
	to.PeriodType().SetTypeStrindex(tables.string("cpu"))
	to.PeriodType().SetUnitStrindex(tables.string("nanoseconds"))
	to.SetPeriod(taken.Period)
	to.SetTime(pcommon.Timestamp(taken.TimeNanos))
	to.SetDurationNano(uint64(taken.DurationNanos))
	for _, from := range taken.Sample {
		sample := to.Samples().AppendEmpty()
		sample.SetStackIndex(tables.stack(from.Location))
		sample.Values().Append(from.Value[0])
	}
	return pprofileotlp.NewExportRequestFromProfiles(profiles), tables.err
}

func sendGRPC(server string, request pprofileotlp.ExportRequest) error {
	address, err := url.Parse(server)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := pprofileotlp.NewGRPCClient(connection)
	answer, err := client.Export(context.Background(), request, grpc.UseCompressor("gzip"))
	if err != nil {
		return err
	}
	if rejected := answer.PartialSuccess().RejectedProfiles(); rejected != 0 {
		return fmt.Errorf("%d profiles rejected: %s", rejected, answer.PartialSuccess().ErrorMessage())
	}
	return nil
}

func sendHTTP(server, protocol string, request pprofileotlp.ExportRequest) error {
	mediaType, marshal := "application/x-protobuf", request.MarshalProto
	if protocol == "json" {
		mediaType, marshal = "application/json", request.MarshalJSON
	}
	body, err := marshal()
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(body); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	post, err := http.NewRequest(http.MethodPost, server+"/v1development/profiles", &packed)
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", mediaType)
	post.Header.Set("Content-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %w", answer.Status, text, err)
	}
	return nil
}
