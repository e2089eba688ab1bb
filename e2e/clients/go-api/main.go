// Pushes a pprof with the published Go API client and asks everything about it: go-api connect|grpc|grpcweb URL FILE.
//
// Answers are written as one JSON object; who runs this compares them with sums of its own.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"google.golang.org/protobuf/proto"
)

const (
	profileType = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	selector    = `{service_name="go-api"}`
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatalf("%T: %v", value, err)
	}
	return value
}

// ask calls and unwraps.
func ask[Q, A any](call func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), request *Q) *A {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	response, err := call(ctx, connect.NewRequest(request))
	if err != nil {
		log.Fatalf("%T: %v", request, err)
	}
	return response.Msg
}

// now reads a compressed pprof and moves it to the present.
func now(file string) []byte {
	raw := must(os.ReadFile(file))
	plain := must(io.ReadAll(must(gzip.NewReader(bytes.NewReader(raw)))))
	profile := &googlev1.Profile{}
	if err := proto.Unmarshal(plain, profile); err != nil {
		log.Fatal(err)
	}
	profile.TimeNanos = time.Now().UnixNano()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	must(writer.Write(must(proto.Marshal(profile))))
	if err := writer.Close(); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}

func sum(profile *googlev1.Profile) (total int64) {
	for _, sample := range profile.Sample {
		total += sample.Value[0]
	}
	return total
}

func main() {
	protocol, url, file := os.Args[1], os.Args[2], os.Args[3]
	options := []connect.ClientOption{connect.WithSendGzip()}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	switch protocol {
	case "connect":
		transport.Protocols.SetHTTP1(true)
	case "grpc":
		transport.Protocols.SetUnencryptedHTTP2(true)
		options = append(options, connect.WithGRPC())
	case "grpcweb":
		transport.Protocols.SetHTTP1(true)
		options = append(options, connect.WithGRPCWeb())
	default:
		log.Fatalf("unknown protocol %q", protocol)
	}
	client := &http.Client{Transport: transport}
	pusher := pushv1connect.NewPusherServiceClient(client, url, options...)
	querier := querierv1connect.NewQuerierServiceClient(client, url, options...)

	ask(pusher.Push, &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels: []*typesv1.LabelPair{
			{Name: "__name__", Value: "process_cpu"},
			{Name: "service_name", Value: "go-api"},
			{Name: "protocol", Value: protocol},
		},
		Samples: []*pushv1.RawSample{{RawProfile: now(file)}},
	}}})

	start, end := time.Now().Add(-time.Hour).UnixMilli(), time.Now().Add(time.Minute).UnixMilli()
	stacktraces := &querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: profileType, LabelSelector: selector, Start: start, End: end,
	}
	nothing := &querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: profileType, LabelSelector: `{service_name="nobody"}`, Start: start, End: end,
	}
	matchers := []string{selector}
	answers := map[string]any{}

	types := []string{}
	for _, t := range ask(querier.ProfileTypes, &querierv1.ProfileTypesRequest{Start: start, End: end}).ProfileTypes {
		types = append(types, t.ID)
	}
	answers["profileTypes"] = types
	answers["labelNames"] = ask(querier.LabelNames, &typesv1.LabelNamesRequest{Matchers: matchers, Start: start, End: end}).Names
	answers["labelValues"] = ask(querier.LabelValues, &typesv1.LabelValuesRequest{Name: "protocol", Start: start, End: end}).Names
	answers["series"] = len(ask(querier.Series, &querierv1.SeriesRequest{
		Matchers: matchers, LabelNames: []string{"service_name", "__profile_type__"}, Start: start, End: end,
	}).LabelsSet)
	answers["stacktraces"] = ask(querier.SelectMergeStacktraces, stacktraces).Flamegraph.Total
	answers["empty"] = ask(querier.SelectMergeStacktraces, nothing).Flamegraph.Names
	answers["profile"] = sum(ask(querier.SelectMergeProfile, &querierv1.SelectMergeProfileRequest{
		ProfileTypeID: profileType, LabelSelector: selector, Start: start, End: end,
	}))
	answers["spans"] = ask(querier.SelectMergeSpanProfile, &querierv1.SelectMergeSpanProfileRequest{
		ProfileTypeID: profileType, LabelSelector: selector, SpanSelector: []string{"0123456789abcdef"}, Start: start, End: end,
	}).Flamegraph.Total
	points := 0.0
	for _, series := range ask(querier.SelectSeries, &querierv1.SelectSeriesRequest{
		ProfileTypeID: profileType, LabelSelector: selector, Start: start, End: end, Step: 15, GroupBy: []string{"service_name"},
	}).Series {
		for _, point := range series.Points {
			points += point.Value
		}
	}
	answers["points"] = int64(points)
	diff := ask(querier.Diff, &querierv1.DiffRequest{Left: nothing, Right: stacktraces}).Flamegraph
	answers["diff"] = []int64{diff.LeftTicks, diff.RightTicks}
	answers["ingested"] = ask(querier.GetProfileStats, &typesv1.GetProfileStatsRequest{}).DataIngested
	answers["scopes"] = len(ask(querier.AnalyzeQuery, &querierv1.AnalyzeQueryRequest{
		Start: start, End: end, Query: profileType + selector,
	}).QueryScopes)
	_, err := querier.SelectHeatmap(context.Background(), connect.NewRequest(&querierv1.SelectHeatmapRequest{
		ProfileTypeID: profileType, LabelSelector: selector, Start: start, End: end, Step: 15,
	}))
	answers["heatmap"] = connect.CodeOf(err).String()
	_, err = querier.SelectSeries(context.Background(), connect.NewRequest(&querierv1.SelectSeriesRequest{
		ProfileTypeID: profileType, LabelSelector: "{", Start: start, End: end, Step: 15,
	}))
	answers["badSelector"] = connect.CodeOf(err).String()
	fmt.Println(string(must(json.Marshal(answers))))
}
