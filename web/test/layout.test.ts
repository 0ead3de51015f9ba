// Where tiles go: inside the place, beside one another, as large as they can be.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cornerBox, gridBoxes, layerFor, pageSize, promoteSpeakers, stagePlan, type Area, type Box } from "../src/meeting/layout";

const areas: Area[] = [
  { w: 1264, h: 690 }, { w: 884, h: 690 }, { w: 1900, h: 950 }, { w: 600, h: 1000 }, { w: 378, h: 730 }, { w: 800, h: 300 }, { w: 320, h: 200 },
];

function assertApart(boxes: Box[], area: Area, what: string): void {
  boxes.forEach((a, i) => {
    assert.ok(a.w > 0 && a.h > 0, what);
    assert.ok(a.x >= -0.01 && a.y >= -0.01 && a.x + a.w <= area.w + 0.01 && a.y + a.h <= area.h + 0.01, `${what}: ${i} is outside`);
    for (const b of boxes.slice(i + 1)) {
      const isApart = a.x + a.w <= b.x + 0.01 || b.x + b.w <= a.x + 0.01 || a.y + a.h <= b.y + 0.01 || b.y + b.h <= a.y + 0.01;
      assert.ok(isApart, `${what}: ${i} overlaps another`);
    }
  });
}

test("the grid: every count up to a full page, in every place", () => {
  for (const area of areas) {
    const most = pageSize(area);
    for (let count = 1; count <= most; count++) {
      const boxes = gridBoxes(count, area);
      assert.equal(boxes.length, count);
      assertApart(boxes, area, `${count} in ${area.w}x${area.h}`);
      const [first] = boxes;
      assert.ok(boxes.every((b) => b.w === first?.w && b.h === first.h), "even");
    }
  }
  assert.deepEqual(gridBoxes(0, { w: 100, h: 100 }), []);
  assert.deepEqual(gridBoxes(3, { w: 0, h: 0 }), []);
});

test("the grid on a wide screen keeps pictures between 4:3 and 16:9", () => {
  for (let count = 1; count <= 25; count++)
    for (const { w, h } of gridBoxes(count, { w: 1264, h: 690 })) assert.ok(w / h > 1.33 && w / h < 1.78, `${count}: ${w / h}`);
});

test("a phone shows two columns and at most eight", () => {
  const phone = { w: 378, h: 730 };
  assert.equal(pageSize(phone), 8);
  assert.equal(new Set(gridBoxes(6, phone).map((b) => Math.round(b.x))).size, 2);
  assert.equal(new Set(gridBoxes(2, phone).map((b) => Math.round(b.x))).size, 1);
});

test("the stage and its strip", () => {
  for (const area of areas)
    for (const count of [0, 1, 4, 30]) {
      const { stage, strip } = stagePlan(count, area);
      assertApart([stage, ...strip], area, `${count} beside the stage in ${area.w}x${area.h}`);
      assert.ok(strip.length <= count && (count === 0 || strip.length > 0));
      assert.ok(strip.every((b) => b.w * b.h < stage.w * stage.h), "the stage is the largest");
    }
});

test("the own corner lies inside", () => {
  for (const area of areas) assertApart([cornerBox(area)], area, "corner");
});

test("speakers come to the front and nobody else moves", () => {
  const spoke = new Map([["f", 50], ["b", 40], ["c", 30]]);
  assert.deepEqual(promoteSpeakers(["me", "b", "c", "d", "e", "f"], 4, spoke, new Set(["me"])), ["me", "b", "c", "f", "e", "d"]);
  assert.deepEqual(promoteSpeakers(["me", "b"], 4, spoke, new Set(["me"])), ["me", "b"]);
  // All places are taken by people who spoke later.
  assert.deepEqual(promoteSpeakers(["b", "f", "c"], 2, spoke, new Set()), ["b", "f", "c"]);
});

test("the layer that a picture of this size needs", () => {
  const rids = ["q", "h", "f"];
  assert.equal(layerFor(rids, 120, 1), "q");
  assert.equal(layerFor(rids, 300, 1), "h");
  assert.equal(layerFor(rids, 700, 1), "");
  assert.equal(layerFor(rids, 300, 2), "");
  assert.equal(layerFor(["f"], 100, 1), "");
});
