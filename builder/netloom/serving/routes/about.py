"""The documentation and the measurements of the server."""

from __future__ import annotations

import time

import psutil

from netloom.serving.docs_page import docs_page
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.openapi import openapi
from netloom.serving.route import ServerRoute
from netloom.serving.server_state import ServerState

# The page has no script, and loads nothing from elsewhere
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class OpenAPI(ServerRoute):
    name, paths, method = "openapi", ("/openapi.json",), "GET"
    summary, order = "The OpenAPI 3.1 document", 70

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply(openapi(server))


class Docs(ServerRoute):
    name, paths, method = "docs", ("/", "/docs"), "GET"
    summary, order, media_type = "The documentation as a page", 71, "text/html"

    async def answer(self, server: ServerState, call: Call) -> Reply:
        page = docs_page(server, call.headers.get("host", "")).encode()
        return Reply(
            page, content_type=f"{self.media_type}; charset=utf-8", headers=(("content-security-policy", _POLICY),)
        )


class PrometheusMetrics(ServerRoute):
    name, paths, method = "metrics", ("/metrics",), "GET"
    summary, order, media_type = "Counters and latencies in the format of Prometheus", 72, "text/plain"

    async def answer(self, server: ServerState, call: Call) -> Reply:
        queued = [served.batcher for deployment in server.deployments.values() for served in deployment.versions]
        text = server.metrics.text(
            {
                "netloom_queued_rows": ("Rows that wait.", lambda: sum(batcher.queued_rows for batcher in queued)),
                "netloom_cache_bytes": ("Size of the cache of answers.", lambda: server.cache.size),
                "netloom_access_log_lost_lines": (
                    "Lines that the access log could not write.",
                    lambda: server.lost_log_lines,
                ),
                "netloom_request_log_lost_rows": (
                    "Rows that the request log could not write.",
                    lambda: sum(request_log.lost for request_log in server.request_logs.values()),
                ),
                "netloom_connections": ("Open connections.", lambda: len(server.connections)),
                "netloom_closed_connections": (
                    "Connections that were closed because they sent no request.",
                    lambda: server.connections.closed,
                ),
                "netloom_uptime_seconds": ("Time since the start.", lambda: time.monotonic() - server.started),
                "process_resident_memory_bytes": ("Memory.", lambda: psutil.Process().memory_info().rss),
            }
        )
        return Reply(text.encode(), content_type=f"{self.media_type}; version=0.0.4; charset=utf-8")
