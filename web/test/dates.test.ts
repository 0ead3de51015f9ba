// Times in the zone of the account, whatever the machine's own is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { dateField, fieldsToMs, isZone, setShownZone, shownZone, timeField } from "../src/app/dates";

const at = (iso: string) => Date.parse(iso);

test("fields are of the shown zone, there and back", () => {
  setShownZone("Asia/Shanghai");
  assert.equal(dateField(at("2026-11-20T17:30:00Z")), "2026-11-21");
  assert.equal(timeField(at("2026-11-20T17:30:00Z")), "01:30");
  assert.equal(fieldsToMs("2026-11-21", "01:30"), at("2026-11-20T17:30:00Z"));
  setShownZone("America/St_Johns");
  assert.equal(fieldsToMs("2026-11-21", "00:00"), at("2026-11-21T03:30:00Z"));
});

test("around summer time", () => {
  setShownZone("Europe/Berlin");
  assert.equal(fieldsToMs("2026-03-29", "01:59"), at("2026-03-29T00:59:00Z"));
  assert.equal(fieldsToMs("2026-03-29", "03:00"), at("2026-03-29T01:00:00Z"));
  assert.equal(fieldsToMs("2026-10-25", "04:00"), at("2026-10-25T03:00:00Z"));
  // Half past two does not exist in that night: a moment nearby, and no endless search.
  assert.ok(Math.abs(fieldsToMs("2026-03-29", "02:30") - at("2026-03-29T01:00:00Z")) <= 3_600_000);
});

test("nonsense", () => {
  assert.ok(Number.isNaN(fieldsToMs("2026-02-31", "")));
  assert.ok(Number.isNaN(fieldsToMs("", "10:00")));
  assert.equal(isZone("Mars/Olympus"), false);
  setShownZone("Mars/Olympus");
  assert.notEqual(shownZone(), "Mars/Olympus");
});
