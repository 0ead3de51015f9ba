// Whom one knows, who asks to be known, whom one has blocked.
import { useEffect, useState } from "preact/hooks";
import { toastError } from "../ui/toast";
import type { ChatStore } from "./store";

export type ContactState = "none" | "requested" | "asked" | "friend" | "blocked";

export interface Contact {
  user_id: string;
  state: ContactState;
  note?: string;
  alias?: string;
  since_ms?: number;
}
export type ContactLists = Record<"friend" | "requested" | "asked" | "blocked", Contact[]>;

const eachMost = 200;

async function lists(store: ChatStore): Promise<ContactLists> {
  const ask = async (state: string) => (await store.request<{ contacts?: Contact[] }>("list_contacts", { state, limit: eachMost })).contacts ?? [];
  const [friend, asked, requested, blocked] = await Promise.all([ask(""), ask("asked"), ask("requested"), ask("blocked")]);
  return { friend, asked, requested, blocked };
}

// Asked for anew when the server says that something changed.
export function useContacts(store: ChatStore): { contacts: ContactLists | null; reload: () => void } {
  const [contacts, setContacts] = useState<ContactLists | null>(null);
  const reload = () => void lists(store).then(setContacts, toastError);
  useEffect(() => {
    reload();
    const hear = (name: string) => name === "contacts" && reload();
    store.heard.add(hear);
    return () => void store.heard.delete(hear);
  }, []);
  return { contacts, reload };
}

export function stateOf(contacts: ContactLists | null, userId: string): ContactState {
  for (const state of ["blocked", "friend", "asked", "requested"] as const) if (contacts?.[state].some((c) => c.user_id === userId)) return state;
  return "none";
}

export const act = {
  ask: (store: ChatStore, user_id: string, note = "") => store.request("request_contact", { user_id, note }),
  answer: (store: ChatStore, user_id: string, is_accepted: boolean) => store.request("answer_contact", { user_id, is_accepted }),
  block: (store: ChatStore, user_id: string, is_blocked: boolean) => store.request("set_contact", { user_id, is_blocked }),
  remove: (store: ChatStore, user_id: string) => store.request("remove_contact", { user_id }),
};
