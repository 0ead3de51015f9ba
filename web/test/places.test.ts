// Places out of what people paste.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pointIn } from "../src/chat/places";

const berlin = { latitude: 52.52, longitude: 13.405 };

test("coordinates, geo addresses and links of maps", () => {
  for (const text of [
    "52.52, 13.405", " 52.52 13.405 ", "geo:52.52,13.405;u=35", "https://www.openstreetmap.org/?mlat=52.52&mlon=13.405#map=16/1/2", "https://www.openstreetmap.org/#map=16/52.52/13.405",
    "https://maps.example/@52.52,13.405,17z", "https://maps.example/?q=52.52,13.405",
  ])
    assert.deepEqual(pointIn(text), berlin, text);
  assert.deepEqual(pointIn("-33.9,-70"), { latitude: -33.9, longitude: -70 });
});

test("what is no place", () => {
  for (const text of ["", "52.52", "91, 0", "0, 181", "Berlin", "1.2.3, 4", "https://example.org/"]) assert.equal(pointIn(text), null, text);
});
