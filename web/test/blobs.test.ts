// Pictures and films that were seen: so many bytes are held, the ones used last stay.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blobUrl, filePath, keepBlob, thumbnailPath } from "../src/chat/blobs";

const megabyte = 1024 * 1024;
let fetched: string[] = [];
globalThis.fetch = (path) => {
  fetched.push(String(path));
  return Promise.resolve(new Response(new Blob(["x"])));
};
Object.assign(globalThis, { document: { cookie: "" } });

test("what is held is bounded by its bytes, and what was used last stays", async () => {
  for (const id of ["a", "b"]) keepBlob("c", id, new Blob([new Uint8Array(12 * megabyte)]));
  await blobUrl(filePath("c", "a"));
  assert.deepEqual(fetched, [], "48 of 64 MB: all is there");
  keepBlob("c", "d", new Blob([new Uint8Array(12 * megabyte)]));
  await blobUrl(filePath("c", "a"));
  await blobUrl(thumbnailPath("c", "d"));
  assert.deepEqual(fetched, []);
  await blobUrl(thumbnailPath("c", "a"));
  assert.deepEqual(fetched, [`/api/v1${thumbnailPath("c", "a")}`], "it was used longest ago");
});

test("what alone is too large is held for who asked for it", async () => {
  fetched = [];
  keepBlob("c", "film", new Blob([new Uint8Array(70 * megabyte)]));
  await blobUrl(filePath("c", "film"));
  assert.deepEqual(fetched, []);
});
