// What modules hold of an account goes with it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { onAccountChange } from "../src/app/account-change";
import { signedIn } from "../src/app/api";
import type { Profile } from "../src/app/types";
import { know, knownPeople } from "../src/chat/people";

const as = (id: string) => ({ user: { id } as Profile, sessionId: "s" });

test("forgetting: at the sign-out and for the next account, not when the same one is confirmed", () => {
  let forgotten = 0;
  const stop = onAccountChange(() => forgotten++);
  signedIn.value = as("ann");
  assert.equal(forgotten, 0);
  know({ id: "bob" } as Profile);
  signedIn.value = as("ann");
  assert.equal(forgotten, 0);
  assert.equal(knownPeople.value.size, 1);
  signedIn.value = null;
  assert.equal(forgotten, 1);
  assert.equal(knownPeople.value.size, 0);
  signedIn.value = as("bob");
  assert.equal(forgotten, 1);
  signedIn.value = as("cleo");
  assert.equal(forgotten, 2);
  stop();
  signedIn.value = null;
  assert.equal(forgotten, 2);
});
