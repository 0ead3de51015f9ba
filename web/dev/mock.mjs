// A server for looking at the client before (and beside) the real one: dist/, the REST API and the signaling socket out
// of memory, with made-up people. No media: dev/fake-media.js puts drawn pictures in their place. Never part of a test
// of the real thing.
//   node dev/mock.mjs [port]     then e.g. http://localhost:5173/m/abc-defg-hij
import http from "node:http";
import { readFileSync, existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { WebSocketServer } from "ws";
import { scene } from "./mock-scene.mjs";
import * as world from "./mock-world.mjs";
import { fileRoutes } from "./mock-files.mjs";
import { openIm } from "./mock-im.mjs";
import { openSocket } from "./mock-socket.mjs";

const dist = path.join(path.dirname(fileURLToPath(import.meta.url)), "../dist");
const types = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html", ".webmanifest": "application/manifest+json" };
const csp =
  "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:";

function sendFile(res, url) {
  const wanted = path.join(dist, path.normalize(url));
  const file = wanted.startsWith(dist) && existsSync(wanted) && path.extname(wanted) ? wanted : path.join(dist, "index.html");
  res.writeHead(200, { "Content-Type": types[path.extname(file)] ?? "application/octet-stream", "Content-Security-Policy": csp });
  res.end(readFileSync(file));
}

function sendJson(res, status, body, headers = {}) {
  res.writeHead(status, { "Content-Type": "application/json", ...headers });
  res.end(JSON.stringify(body));
}

async function api(req, res, url) {
  let text = "";
  for await (const chunk of req) text += chunk.toString("latin1");
  let body = {};
  try {
    body = text ? JSON.parse(Buffer.from(text, "latin1").toString()) : {};
  } catch {
    // a picture
  }
  for (const [method, pattern, handle] of [...world.routes, ...fileRoutes]) {
    const found = method === req.method && pattern.exec(url.pathname);
    if (!found) continue;
    const user = world.userOf(req.headers.authorization);
    const reply = handle({ params: found.slice(1).map(decodeURIComponent), body, query: url.searchParams, user, headers: req.headers, size: text.length });
    if (reply.bytes !== undefined) return res.writeHead(reply.status ?? 200, reply.headers).end(reply.bytes);
    if (reply.error) return sendJson(res, reply.status, { error: reply.error });
    return sendJson(res, 200, reply.body ?? reply, reply.cookie ? { "Set-Cookie": reply.cookie } : {});
  }
  return sendJson(res, 404, { error: { code: "not_found", message: `no ${req.method} ${url.pathname}`, request_id: "mock" } });
}

export function startMock(port = 0) {
  const server = http.createServer((req, res) => {
    const url = new URL(req.url, "http://mock");
    if (url.pathname.startsWith("/api/")) void api(req, res, url);
    else sendFile(res, url.pathname);
  });
  const sockets = {
    "/ws/signaling": [new WebSocketServer({ noServer: true, handleProtocols: () => "parlance.signaling.v1" }), openSocket],
    "/ws/im": [new WebSocketServer({ noServer: true, handleProtocols: () => "parlance.v1.json" }), openIm],
  };
  server.on("upgrade", (req, socket, head) => {
    const [upgrader, open] = sockets[req.url] ?? [];
    if (!upgrader || !scene.isReachable) return socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    return upgrader.handleUpgrade(req, socket, head, open);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = await startMock(Number(process.argv[2] ?? 5173));
  console.log(`mock: http://localhost:${server.address().port}`);
}
