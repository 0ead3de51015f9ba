// Files: uploads that are cut and go on, how files are gathered and drawn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf, claimOf, fitted, gathered, kindOf } from "../src/chat/files";
import { Tus, type WireReply, type WireRequest } from "../src/chat/tus";
import { dragged, fromStart, zoomed } from "../src/chat/zoom";

// A server for one upload, which can be cut in the middle of a piece, after so many bytes.
class Server {
  size = 0;
  offset = 0;
  asked: string[] = [];
  cuts: number[] = [];
  statuses: number[] = [];
  isExpired = false;

  wire = async (r: WireRequest): Promise<WireReply> => {
    this.asked.push(r.method);
    const reply = (status: number, headers: Record<string, string> = {}) => ({ status, header: (name: string) => headers[name] ?? null });
    const forced = this.statuses.shift();
    if (forced) return reply(forced);
    if (r.signal.aborted) throw new Error("aborted");
    if (r.method === "POST") {
      this.size = Number(r.headers["Upload-Length"]);
      this.offset = 0;
      this.isExpired = false;
      return reply(201, { Location: "http://somewhere/api/v1/files/uploads/01F" });
    }
    if (this.isExpired) return reply(404);
    if (r.method === "HEAD") return reply(200, { "Upload-Offset": String(this.offset) });
    if (r.method === "DELETE") return reply(204);
    if (Number(r.headers["Upload-Offset"]) !== this.offset) return reply(409);
    const cut = this.cuts.shift();
    const bytes = r.body?.size ?? 0;
    this.offset += cut === undefined ? bytes : Math.min(cut, bytes);
    r.onSent?.(bytes);
    if (cut !== undefined) throw new Error("cut");
    return reply(204, { "Upload-Offset": String(this.offset) });
  };
}

const tusOf = (server: Server, bytes: number) => new Tus({ wire: server.wire, file: new Blob([new Uint8Array(bytes)]), name: "文 a.bin", claim: "", onChange: () => undefined, wait: () => Promise.resolve() });

test("an upload that is cut asks how far it came and goes on from there", async () => {
  const server = new Server();
  server.cuts = [30, 20];
  const tus = tusOf(server, 100);
  await tus.start();
  assert.deepEqual([tus.state, tus.sentBytes, server.offset, tus.fileId], ["done", 100, 100, "01F"]);
  assert.deepEqual(server.asked, ["POST", "PATCH", "HEAD", "PATCH", "HEAD", "PATCH"]);
});

test("an upload that another page began asks first how far it came", async () => {
  const server = new Server();
  server.cuts = [30];
  const urls: string[] = [];
  const first: Tus = new Tus({ wire: server.wire, file: new Blob([new Uint8Array(100)]), name: "a", claim: "", onChange: () => urls.push(first.url), wait: () => new Promise(() => undefined) });
  void first.start();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const url = urls.find((u) => u) ?? "";
  assert.match(url, /^\/api\/v1\/files\/uploads\/01F$/);
  server.asked = [];
  const next = new Tus({ wire: server.wire, file: new Blob([new Uint8Array(100)]), name: "a", claim: "", url, onChange: () => undefined, wait: () => Promise.resolve() });
  await next.start();
  assert.deepEqual([next.state, next.fileId, server.asked], ["done", "01F", ["HEAD", "PATCH"]]);
  // Cleared away meanwhile: from the beginning.
  server.isExpired = true;
  server.asked = [];
  const late = new Tus({ wire: server.wire, file: new Blob([new Uint8Array(100)]), name: "a", claim: "", url, onChange: () => undefined, wait: () => Promise.resolve() });
  await late.start();
  assert.deepEqual([late.state, server.asked], ["done", ["HEAD", "POST", "PATCH"]]);
});

test("what passes is tried again, what does not is told", async () => {
  const busy = new Server();
  busy.statuses = [503, 429];
  const tus = tusOf(busy, 10);
  await tus.start();
  assert.equal(tus.state, "done");
  const full = new Server();
  full.statuses = [413];
  const refused = tusOf(full, 10);
  await refused.start();
  assert.deepEqual([refused.state, refused.error?.status, full.asked], ["failed", 413, ["POST"]]);
  const down = new Server();
  down.statuses = Array<number>(99).fill(500);
  const lost = tusOf(down, 10);
  await lost.start();
  assert.equal(lost.state, "failed");
  assert.ok(down.asked.length < 20, "not for ever");
});

test("an offset that does not match is looked up; an upload that expired begins anew", async () => {
  const server = new Server();
  server.cuts = [5];
  const tus = tusOf(server, 10);
  const before = server.wire;
  let isFirstLook = true;
  server.wire = async (r) => {
    if (r.method === "HEAD" && isFirstLook) {
      isFirstLook = false;
      server.isExpired = true;
    }
    return before(r);
  };
  const late = new Tus({ wire: (r) => server.wire(r), file: new Blob([new Uint8Array(10)]), name: "a", claim: "", onChange: () => undefined, wait: () => Promise.resolve() });
  await late.start();
  assert.deepEqual([late.state, server.offset], ["done", 10]);
  assert.deepEqual(server.asked, ["POST", "PATCH", "HEAD", "POST", "PATCH"]);
  assert.equal(tus.state, "waiting");
});

test("paused it stays, and goes on; cancelled it is taken away", async () => {
  const server = new Server();
  const tus = tusOf(server, 10);
  const run = tus.start();
  tus.pause();
  await run;
  assert.equal(tus.state, "paused");
  await tus.start();
  assert.deepEqual([tus.state, server.offset], ["done", 10]);
  await tus.cancel();
  assert.deepEqual([tus.state, server.asked.at(-1)], ["cancelled", "DELETE"]);
});

test("only what browsers and server understand is claimed", () => {
  assert.deepEqual(["image/png", "image/svg+xml", "text/html", ""].map(claimOf), ["image/png", "", "", ""]);
  assert.deepEqual(["image/webp", "video/mp4", "application/pdf", "image/svg+xml"].map(kindOf), ["image", "video", "file", "file"]);
});

test("a message is of one kind, and holds twenty", () => {
  const items = [...Array(21).fill("image"), "file", "video", "file"].map((kind, n) => ({ kind: kind as "image" | "file" | "video", n }));
  assert.deepEqual(gathered(items).map((g) => [g.kind, g.items.length]), [["image", 20], ["image", 1], ["file", 2], ["video", 1]]);
});

test("pictures are drawn whole, never blown up", () => {
  assert.deepEqual(fitted(4000, 3000, 360, 320), { width: 360, height: 270 });
  assert.deepEqual(fitted(300, 3000, 360, 320), { width: 64, height: 320 });
  assert.deepEqual(fitted(100, 80, 360, 320), { width: 100, height: 80 });
  assert.equal(fitted(0, 0, 360, 320).width, 360);
});

test("a waveform becomes bars, also one that is none", () => {
  const wave = btoa(String.fromCharCode(0, 64, 128, 255));
  assert.deepEqual(barsOf(wave, 2), [64 / 255, 1]);
  assert.equal(barsOf(wave, 8).length, 8);
  assert.deepEqual(barsOf("%%", 3), [0, 0, 0]);
  assert.deepEqual(barsOf(undefined, 1), [0]);
});

test("what lies under the fingers stays there", () => {
  const v = zoomed(fromStart, 2, 100, 50);
  assert.deepEqual(v, { scale: 2, x: -100, y: -50 });
  assert.deepEqual(zoomed(v, 0.1, 0, 0), fromStart);
  assert.deepEqual(dragged(fromStart, 9, 9), fromStart);
  assert.deepEqual(dragged(v, 10, 0), { scale: 2, x: -90, y: -50 });
  assert.equal(zoomed(v, 100, 0, 0).scale, 8);
});
