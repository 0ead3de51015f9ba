// Jaeger for tests: its collector with the OTLP receiver, its store in memory and its query API, in one
// small program. Its own all-in-one would pull in every other storage engine that it knows.
//
//	jaeger OTLP_HTTP_ADDRESS QUERY_ADDRESS
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/opentracing/opentracing-go"
	"go.uber.org/zap"

	collector "github.com/jaegertracing/jaeger/cmd/collector/app"
	"github.com/jaegertracing/jaeger/cmd/collector/app/flags"
	query "github.com/jaegertracing/jaeger/cmd/query/app"
	"github.com/jaegertracing/jaeger/cmd/query/app/querysvc"
	"github.com/jaegertracing/jaeger/pkg/healthcheck"
	"github.com/jaegertracing/jaeger/pkg/metrics"
	"github.com/jaegertracing/jaeger/pkg/tenancy"
	"github.com/jaegertracing/jaeger/plugin/storage/memory"
	"github.com/jaegertracing/jaeger/proto-gen/api_v2"
)

// Nobody asks this server how much to sample.
type noStrategy struct{}

func (noStrategy) GetSamplingStrategy(context.Context, string) (*api_v2.SamplingStrategyResponse, error) {
	return &api_v2.SamplingStrategyResponse{}, nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("jaeger OTLP_HTTP_ADDRESS QUERY_ADDRESS")
	}
	logger := zap.NewNop()
	store := memory.NewStore()
	tenants := tenancy.NewManager(&tenancy.Options{})
	c := collector.New(&collector.CollectorParams{
		ServiceName:    "collector",
		Logger:         logger,
		MetricsFactory: metrics.NullFactory,
		SpanWriter:     store,
		StrategyStore:  noStrategy{},
		HealthCheck:    healthcheck.New(),
		TenancyMgr:     tenants,
	})
	options := &flags.CollectorOptions{NumWorkers: 2, QueueSize: 2000}
	options.HTTP.HostPort = "127.0.0.1:0"
	options.GRPC.HostPort = "127.0.0.1:0"
	options.OTLP.Enabled = true
	options.OTLP.GRPC.HostPort = "127.0.0.1:0"
	options.OTLP.HTTP.HostPort = os.Args[1]
	if err := c.Start(options); err != nil {
		log.Fatal(err)
	}
	service := querysvc.NewQueryService(store, store, querysvc.QueryServiceOptions{})
	api := query.NewAPIHandler(service, tenants, query.HandlerOptions.Logger(logger),
		query.HandlerOptions.Tracer(opentracing.NoopTracer{}))
	router := query.NewRouter()
	api.RegisterRoutes(router)
	log.Fatal(http.ListenAndServe(os.Args[2], router))
}
