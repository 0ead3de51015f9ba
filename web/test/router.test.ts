// Going somewhere, in a browser that takes no more addresses for a while.
import assert from "node:assert/strict";
import { test } from "node:test";
import { go, place } from "../src/app/router";

test("an address that is refused is shown nevertheless", () => {
  const refuse = () => {
    throw new DOMException("Attempt to use history.replaceState() more than 100 times per 30 seconds", "SecurityError");
  };
  Object.assign(globalThis, { history: { replaceState: refuse, pushState: refuse }, scrollTo: () => undefined });
  go("/search?q=hello+w", true);
  assert.deepEqual([place.value.path, place.value.query.get("q")], ["/search", "hello w"]);
  go("/c/1#there");
  assert.deepEqual([place.value.path, place.value.query.size], ["/c/1", 0]);
});
