// Invitations: what stands in the list, and tokens in addresses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenIn, withInvitation } from "../src/chat/invitations";
import type { Invitation } from "../src/chat/types";

const offer = (conversation_id: string, fields: Partial<Invitation> = {}): Invitation => ({
  conversation_id, user_id: "me", inviter_id: "u2", state: "offered", created_at_ms: 0, expires_at_ms: 1, kind: "group", title: conversation_id, member_count: 2, ...fields,
});

test("a new invitation stands first and once, one that ended is gone", () => {
  const list = [offer("a"), offer("b")];
  assert.deepEqual(withInvitation(list, offer("c")).map((i) => i.conversation_id), ["c", "a", "b"]);
  assert.deepEqual(withInvitation(list, offer("b", { note: "again" })).map((i) => i.note ?? ""), ["again", ""]);
  for (const state of ["revoked", "accepted", "declined"] as const) assert.deepEqual(withInvitation(list, offer("a", { state })).map((i) => i.conversation_id), ["b"]);
  assert.equal(withInvitation(list, offer("a", { user_id: "other", state: "declined" })).length, 2, "another's is another's");
});

test("only what looks like a token is taken for one", () => {
  const token = "A-_9".repeat(10) + "abc";
  assert.equal(tokenIn(`#${token}`), token);
  for (const hash of ["", "#", "#short", `#${token}/../x`, "#<script>alert(1)</script>aaaaaaaa"]) assert.equal(tokenIn(hash), "", hash);
});
