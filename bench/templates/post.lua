-- One fixed POST, built once by wrk; the summary as one line of JSON for the bench to read.
wrk.method = "POST"
wrk.path = "$path"
wrk.body = [==[$body]==]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer $key"

done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'WRK {"requests":%d,"micros":%d,"p50":%.1f,"p99":%.1f,"status":%d,"broken":%d,"timeout":%d}\n',
        summary.requests, summary.duration, latency:percentile(50.0), latency:percentile(99.0),
        errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
