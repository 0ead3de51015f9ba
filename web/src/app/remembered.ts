// Who was signed in here last: drawn first, confirmed afterwards. Forgetting takes everything with it that this browser
// keeps of that account (chat/local.ts, chat/outbox.ts, chat/parcels.ts), whether or not the code that wrote it is loaded.
import type { Profile } from "./types";

export interface SignedIn {
  user: Profile;
  sessionId: string;
}

const key = "parlance.account";
const database = "parlance";
// Files on their way: like what was written and not sent.
const parcels = "parlance.parcels";
const prefixes = ["parlance.unsent.", "parlance.draft."];

export function remembered(): SignedIn | null {
  try {
    const found = JSON.parse(localStorage.getItem(key) ?? "null") as SignedIn | null;
    return found && typeof found.user?.id === "string" && found.user.id ? found : null;
  } catch {
    return null;
  }
}

function dropKept(isMeantToGo: (key: string) => boolean): void {
  const keys = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i) ?? "");
  for (const k of keys) if (prefixes.some((p) => k.startsWith(p)) && isMeantToGo(k)) localStorage.removeItem(k);
}

export function remember(who: SignedIn): void {
  try {
    dropKept((k) => !k.includes(`.${who.user.id}.`)); // another account's
    localStorage.setItem(key, JSON.stringify(who));
  } catch {
    // a private window: next time one waits for the server
  }
}

// `isWanted`: the person signed out. A sign-in that merely ended keeps what was written and not sent, for the same account.
export function forgetAll(isWanted: boolean): void {
  try {
    localStorage.removeItem(key);
    if (isWanted) dropKept(() => true);
    indexedDB.deleteDatabase(database);
    if (isWanted) indexedDB.deleteDatabase(parcels);
  } catch {
    // nothing was kept
  }
}

// Another tab signed out.
export function onForgotten(run: () => void): void {
  addEventListener("storage", (e) => e.key === key && e.newValue === null && run());
}
