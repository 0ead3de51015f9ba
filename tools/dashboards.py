#!/usr/bin/env python3
"""Writes the dashboards of deploy/grafana/dashboards, one JSON file each.

usage: dashboards.py [--check]      --check: writes nothing, fails when a file is not what would be written

A panel is a title, a unit and queries. What counts mishaps says 0 where none happened (`or vector(0)`), so that an
empty panel always means that nobody was scraped. tests/flow/once/prometheus.test.mjs asks a real Prometheus each.
"""
import json
import os
import sys

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "deploy/grafana/dashboards")
HERE = '{instance=~"$instance"}'
SOURCE = {"type": "prometheus", "uid": "prometheus"}


def sel(name, labels=""):
    return f'{name}{{instance=~"$instance"{"," + labels if labels else ""}}}'


def rate(name, by="", labels=""):
    inner = f"rate({sel(name, labels)}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def mishaps(name, by="", labels=""):
    return f"{rate(name, by, labels)} or vector(0)"


def quantile(q, name, by="", labels=""):
    return f"histogram_quantile({q}, {rate(name + '_bucket', 'le' + (', ' + by if by else ''), labels)})"


def times(name, by="", legend="", labels=""):
    """p50 and p99 of a histogram."""
    return [(quantile(q, name, by, labels), f"p{int(q * 100)} {legend}".strip()) for q in (0.5, 0.99)]


def ratio(part, whole):
    return f"({part}) / ({whole})"


DASHBOARDS = {
    "overview": ("Parlance: overview", [
        ("Processes", "short", [("count by (version) (parlance_build_info%s)" % HERE, "{{version}}")]),
        ("API requests", "reqps", [(rate("parlance_http_api_requests_total", "status"), "{{status}}")]),
        ("API failures (5xx)", "reqps", [(mishaps("parlance_http_api_requests_total", "route", 'status=~"5.."'), "{{route}}")]),
        ("API time", "s", times("parlance_http_request_seconds")),
        ("API time, slowest routes (p99)", "s", [("topk(5, %s)" % quantile(0.99, "parlance_http_request_seconds", "route"), "{{route}}")]),
        ("Connections", "short", [(f'sum by (server) ({sel("parlance_net_connections")})', "{{server}}"),
                                  (f'sum({sel("parlance_net_websockets")})', "websockets")]),
        ("Refused, timed out", "ops", [(mishaps("parlance_net_refused_total", "why"), "refused: {{why}}"),
                                       (mishaps("parlance_net_timeouts_total", "in"), "timeout: {{in}}")]),
        ("Traffic", "Bps", [(rate("parlance_net_bytes_total", "direction"), "{{direction}}")]),
        ("CPU", "percentunit", [(f'rate({sel("process_cpu_seconds_total")}[$__rate_interval])', "{{instance}}")]),
        ("Memory", "bytes", [(sel("process_resident_memory_bytes"), "{{instance}}")]),
        ("Descriptors in use", "percentunit", [(ratio(sel("process_open_fds"), sel("process_max_fds")), "{{instance}}")]),
        ("Threads at work", "percentunit", [(ratio(f'sum by (pool) ({sel("parlance_worker_busy_threads")})',
                                                   f'sum by (pool) ({sel("parlance_worker_threads")})'), "{{pool}}")]),
        ("Work that waits, and is refused", "short", [
            (f'sum by (pool) ({sel("parlance_worker_queued_jobs")})', "{{pool}} waits"),
            (mishaps("parlance_worker_refused_total", "pool"), "{{pool}} refused/s")]),
    ]),
    "messaging": ("Parlance: messaging", [
        ("Sockets, people here", "short", [(f'sum({sel("parlance_gateway_sockets")})', "sockets"),
                                           (f'sum({sel("parlance_presence_people")})', "people")]),
        ("Frames", "ops", [(rate("parlance_gateway_frames_total", "direction"), "{{direction}}")]),
        ("Messages sent", "ops", [(rate("parlance_rpc_seconds_count", "", 'service="Message",method="SendMessage"'), "sends")]),
        ("Time of a send", "s", times("parlance_rpc_seconds", labels='service="Message",method="SendMessage"')),
        ("Calls by service", "ops", [(rate("parlance_rpc_seconds_count", "service"), "{{service}}")]),
        ("Time of calls (p99)", "s", [(quantile(0.99, "parlance_rpc_seconds", "service"), "{{service}}")]),
        ("Calls that failed", "ops", [(mishaps("parlance_rpc_errors_total", "service, code"), "{{service}} {{code}}")]),
        ("Presence", "ops", [(mishaps("parlance_presence_changes_total"), "changes"),
                             (mishaps("parlance_gateway_presence_frames_total"), "frames")]),
        ("Clients too slow", "ops", [(mishaps("parlance_net_websocket_slow_total", "what"), "{{what}}")]),
        ("Files", "Bps", [(mishaps("parlance_blob_bytes_total", "direction"), "{{direction}}")]),
        ("Files that failed", "ops", [(mishaps("parlance_blob_errors_total", "error"), "{{error}}"),
                                      (mishaps("parlance_convert_files_total", "verdict"), "converted: {{verdict}}")]),
    ]),
    "meetings": ("Parlance: meetings and media", [
        ("Rooms and people", "short", [(f'sum({sel("parlance_signaling_rooms")})', "rooms"),
                                       (f'sum({sel("parlance_signaling_members")})', "people"),
                                       (f'sum({sel("parlance_media_sessions")})', "media sessions")]),
        ("Tracks", "short", [(f'sum by (source) ({sel("parlance_media_tracks")}) or vector(0)', "{{source}}")]),
        ("Signaling frames", "ops", [(mishaps("parlance_signaling_frames_total", "direction"), "{{direction}}")]),
        ("Media in and out", "Bps", [(rate("parlance_sfu_received_bytes_total"), "in"), (rate("parlance_sfu_sent_bytes_total"), "out")]),
        ("Packets", "pps", [(rate("parlance_sfu_received_total"), "in"), (rate("parlance_sfu_sent_total"), "out"),
                            (rate("parlance_sfu_handed_over_total"), "between workers")]),
        ("Losses", "pps", [(rate("parlance_sfu_nacks_received_total"), "asked again by clients"),
                           (rate("parlance_sfu_nacks_sent_total"), "asked again by us"),
                           (rate("parlance_sfu_retransmitted_total"), "sent again"),
                           (rate("parlance_sfu_recovered_total"), "recovered")]),
        ("Keyframes asked for", "ops", [(rate("parlance_sfu_keyframes_asked_total"), "asked")]),
        ("Dropped by the kernel or the socket", "pps", [(mishaps("parlance_media_kernel_drops_total"), "received"),
                                                        (mishaps("parlance_media_send_drops_total", "reason"), "sent: {{reason}}")]),
        ("Dropped by us", "pps", [(rate(f"parlance_sfu_drop_{why}_total"), why) for why in
                                  ("pool", "ring", "protect", "limit", "rate", "size", "unknown", "not_ready", "malformed",
                                   "stun_malformed", "stun_stranger", "stun_refused", "srtp_forged", "srtp_replayed",
                                   "ssrc_unknown", "ssrc_limit", "pt_unknown", "duplicate", "held")]),
        ("Packets a send", "short", [(ratio(rate("parlance_sfu_send_messages_total"), rate("parlance_sfu_send_batches_total") + " > 0")
                                      + " or vector(0)", "packets")]),
    ]),
    "store": ("Parlance: store, bus, cache", [
        ("Writable", "short", [(sel("parlance_store_writable"), "{{instance}}")]),
        ("Writes and reads", "ops", [(rate("parlance_store_jobs_total", "result"), "writes {{result}}"),
                                     (rate("parlance_store_read_seconds_count"), "reads")]),
        ("Time of a write", "s", times("parlance_store_write_seconds")),
        ("Time of a commit", "s", times("parlance_store_commit_seconds")),
        ("Time of a read", "s", times("parlance_store_read_seconds")),
        ("Writes a commit", "short", [(ratio(rate("parlance_store_batch_jobs_sum"), rate("parlance_store_batch_jobs_count")), "writes")]),
        ("Writes that wait", "short", [(sel("parlance_store_queue_jobs"), "{{instance}}")]),
        ("Store errors", "ops", [(mishaps("parlance_store_errors_total", "kind"), "{{kind}}")]),
        ("Events", "ops", [(rate("parlance_bus_events_total", "channel"), "{{channel}}")]),
        ("Events that wait", "short", [(f'sum({sel("parlance_bus_queue_events")})', "for a thread"),
                                       (f'sum({sel("parlance_bus_outbox_in_flight")})', "in the outbox")]),
        ("Events dropped", "ops", [(mishaps("parlance_bus_dropped_total", "channel"), "{{channel}}")]),
        ("Time of handling (p99)", "s", [(quantile(0.99, "parlance_bus_handle_seconds", "subscriber"), "{{subscriber}}")]),
        ("Tasks", "ops", [(mishaps("parlance_tasks_finished_total", "queue, result"), "{{queue}} {{result}}")]),
        ("Cache hits", "percentunit", [(ratio(rate("parlance_cache_lookups_total", "", 'result="hit"') + " or vector(0)",
                                              rate("parlance_cache_lookups_total")), "hits")]),
        ("Cache memory", "bytes", [(f'{sel("parlance_cache_used_bytes")} or vector(0)', "{{instance}}")]),
        ("Outward requests", "ops", [(mishaps("parlance_fetch_total", "result"), "{{result}}")]),
        ("Traces and logs sent", "ops", [(mishaps("parlance_telemetry_items_total", "what, result"), "{{what}} {{result}}")]),
    ]),
    "apart": ("Parlance: services apart", [
        ("Instances", "short", [(f'max by (service) ({sel("parlance_registry_instances")})', "{{service}}")]),
        ("Registry answers", "short", [(f'{sel("parlance_registry_up")} or vector(1)', "{{instance}}")]),
        ("Calls to other processes", "ops", [(rate("parlance_rpc_remote_seconds_count", "service"), "{{service}}")]),
        ("Their time (p99)", "s", [(quantile(0.99, "parlance_rpc_remote_seconds", "service"), "{{service}}")]),
        ("Calls that failed, and were made again", "ops", [
            (mishaps("parlance_rpc_remote_errors_total", "service, code"), "{{service}} {{code}}"),
            (mishaps("parlance_rpc_retries_total", "service"), "{{service}} again")]),
        ("gRPC connections", "ops", [(rate("parlance_grpc_connects_total", "result"), "out: {{result}}"),
                                     (rate("parlance_grpc_accepted_total", "result"), "in: {{result}}")]),
        ("Broker linked", "short", [(f'{sel("parlance_bus_linked")} or vector(1)', "{{driver}} {{carries}} {{instance}}")]),
        ("Waiting at the broker", "short", [(f'max by (channel, group) ({sel("parlance_bus_lag")}) or vector(0)', "{{channel}} {{group}}")]),
        ("From publishing to another process (p99)", "s", [(quantile(0.99, "parlance_bus_behind_seconds", "channel") + " or vector(0)", "{{channel}}")]),
        ("Through the broker", "ops", [(mishaps("parlance_bus_sent_total", "result"), "sent: {{result}}"),
                                       (mishaps("parlance_bus_received_total"), "received")]),
        ("Dead letters", "ops", [(mishaps("parlance_bus_dead_letters_total", "channel"), "{{channel}}")]),
        ("Redis: clients that it answers", "short", [(f'sum by (instance) ({sel("parlance_redis_up")}) or vector(0)', "{{instance}} up"),
                                                     (f'sum by (instance) ({sel("parlance_redis_clients")}) or vector(0)', "{{instance}} all")]),
        ("Redis: time of a command (p99)", "s", [(quantile(0.99, "parlance_redis_call_seconds", "client") + " or vector(0)", "{{client}}")]),
        ("Redis: commands that failed", "ops", [(mishaps("parlance_redis_errors_total", "client, err"), "{{client}} {{err}}")]),
        ("Meetings that moved, nodes lost", "ops", [(mishaps("parlance_signaling_moves_total"), "moved"),
                                                    (mishaps("parlance_signaling_nodes_lost_total", "kind"), "lost: {{kind}}")]),
    ]),
}


def panel(index, title, unit, queries):
    return {
        "id": index + 1,
        "title": title,
        "type": "timeseries",
        "datasource": SOURCE,
        "gridPos": {"x": index % 2 * 12, "y": index // 2 * 8, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}},
                        "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (expr, legend) in enumerate(queries)],
    }


def dashboard(name, title, panels):
    return {
        "uid": f"parlance-{name}",
        "title": title,
        "tags": ["parlance"],
        "timezone": "browser",
        "editable": True,
        "refresh": "10s",
        "schemaVersion": 36,
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "title": "Parlance", "tags": ["parlance"], "asDropdown": True}],
        "templating": {"list": [{
            "name": "instance", "label": "Process", "type": "query", "datasource": SOURCE, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2,
            "query": {"query": "label_values(parlance_build_info, instance)", "refId": "instances"}}]},
        "panels": [panel(i, *one) for i, one in enumerate(panels)],
    }


def main():
    is_check = "--check" in sys.argv[1:]
    wrong = []
    for name, (title, panels) in DASHBOARDS.items():
        path = os.path.join(OUT, f"{name}.json")
        text = json.dumps(dashboard(name, title, panels), indent=1) + "\n"
        old = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        if text == old:
            continue
        if is_check:
            wrong.append(path)
        else:
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
            print(f"dashboards: wrote {os.path.relpath(path)}")
    if wrong:
        sys.exit("dashboards: tools/dashboards.py would write another " + ", ".join(map(os.path.basename, wrong)))


if __name__ == "__main__":
    main()
