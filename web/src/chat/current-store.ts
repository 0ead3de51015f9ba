// The one store of the page: that of whoever is signed in, from the first look at their messages to the sign-out.
import { effect } from "@preact/signals";
import { ApiError, signedIn } from "../app/api";
import { ChatStore } from "./store";

let current: ChatStore | null = null;

// Somebody else's is closed first.
export function chatStore(): ChatStore {
  const me = signedIn.peek()?.user.id;
  if (!me) throw new ApiError("unauthenticated", "nobody is signed in", "", 401);
  if (current?.me !== me) {
    current?.close();
    current = new ChatStore(me);
  }
  return current;
}

effect(() => {
  if (current && signedIn.value?.user.id !== current.me) {
    current.close();
    current = null;
  }
});
