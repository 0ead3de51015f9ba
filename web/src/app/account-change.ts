// What modules hold of an account goes when it goes: the page itself may stay for the next one.
import { effect } from "@preact/signals";
import { signedIn } from "./api";

// Runs `forget` when somebody signs out, or somebody else is signed in; not when the same account is confirmed.
export function onAccountChange(forget: () => void): () => void {
  let last: string | undefined;
  return effect(() => {
    const id = signedIn.value?.user.id;
    const isChange = last !== undefined && id !== last;
    last = id;
    if (isChange) forget();
  });
}
