-- What wrk counted, as the one line of JSON that the runner reads. Only whole answers count.
local token = os.getenv("BENCH_TOKEN")
if token then
    wrk.headers["Authorization"] = "Bearer " .. token
end

function done(summary, latency, requests)
    local e = summary.errors
    print(string.format('{"requests":%d,"seconds":%.6f,"bad_status":%d,"failed":%d}',
        summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout))
end
