// Invitations to groups: what waits for one's answer, what one has offered, and links. As docs/messaging.md has them.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { onAccountChange } from "../app/account-change";
import { call } from "../app/api";
import { errorCode } from "../app/errors";
import { t } from "../i18n/i18n";
import { toast, toastError } from "../ui/toast";
import { nameOf } from "./people";
import type { ChatStore } from "./store";
import type { Conversation, Invitation, InviteLink, InviteLinkView } from "./types";

const offersMost = 100;

// What waits for this person's answer, the newest first.
export const offers = signal<Invitation[]>([]);
onAccountChange(() => (offers.value = []));

// One that was answered or has ended goes; a new one stands first.
export function withInvitation(list: Invitation[], news: Invitation): Invitation[] {
  const others = list.filter((i) => i.conversation_id !== news.conversation_id || i.user_id !== news.user_id);
  return news.state === "offered" ? [news, ...others] : others;
}

async function loadOffers(store: ChatStore): Promise<void> {
  const reply = await store.request<{ invitations?: Invitation[] }>("list_invitations", { limit: offersMost });
  offers.value = reply.invitations ?? [];
}

// Kept true while a page of messages is there: asked for with each connection, then told.
export function useOffers(store: ChatStore): Invitation[] {
  const isOpen = store.link.value === "open";
  useEffect(() => {
    if (isOpen) loadOffers(store).catch(() => undefined); // the next connection asks again
  }, [store, isOpen]);
  useEffect(() => {
    const hear = (name: string, body: unknown) => {
      if (name !== "invitation") return;
      const news = body as Invitation;
      if (news.user_id === store.me) offers.value = withInvitation(offers.value, news);
      else if (news.state === "declined" && news.inviter_id === store.me) toast(t("chat.invite.declinedBy", { name: nameOf(news.user_id), group: news.title }));
    };
    store.heard.add(hear);
    return () => void store.heard.delete(hear);
  }, [store]);
  return offers.value;
}

// Gives the conversation one belongs to now; null: declined, or the invitation had ended.
export async function answer(store: ChatStore, i: Invitation, isAccepted: boolean): Promise<Conversation | null> {
  const drop = () => (offers.value = offers.value.filter((o) => o.conversation_id !== i.conversation_id));
  try {
    const reply = await store.request<{ conversation?: Conversation }>("answer_invitation", { id: i.conversation_id, is_accepted: isAccepted });
    drop();
    if (!reply.conversation) return null;
    store.adopt(reply.conversation);
    return reply.conversation;
  } catch (error) {
    if (errorCode(error) !== "not_found") throw error;
    drop();
    toast(t("chat.invite.gone"), "bad");
    return null;
  }
}

interface Group {
  invited: Invitation[];
  links: InviteLink[];
  reload: () => void;
}

// Of a group: who has not answered yet, and for those who lead it the links that work.
export function useGroupInvitations(store: ChatStore, c: Conversation, hasLinks: boolean): Group {
  const [invited, setInvited] = useState<Invitation[]>([]);
  const [links, setLinks] = useState<InviteLink[]>([]);
  const reload = () => {
    store.request<{ invitations?: Invitation[] }>("list_group_invitations", { id: c.id, limit: 200 }).then((r) => setInvited(r.invitations ?? []), () => setInvited([]));
    if (hasLinks) store.request<{ links?: InviteLink[] }>("list_invite_links", { id: c.id }).then((r) => setLinks(r.links ?? []), () => setLinks([]));
  };
  useEffect(() => {
    reload();
    const hear = (name: string, body: unknown) => name === "invitation" && (body as Invitation).conversation_id === c.id && reload();
    store.heard.add(hear);
    return () => void store.heard.delete(hear);
    // Who came in by a link, too.
  }, [c.id, c.rev, hasLinks]);
  return { invited, links, reload };
}

export function revoke(store: ChatStore, i: Invitation): Promise<void> {
  return store.request("revoke_invitation", { id: i.conversation_id, user_id: i.user_id }).then(() => undefined, toastError);
}

// ---- links: the token stands behind "#", so no server's log has it ----

const tokenShape = /^[A-Za-z0-9_-]{20,100}$/;
export const joinPath = "/join";

export const linkAddress = (token: string): string => `${location.origin}${joinPath}#${token}`;

export function tokenIn(hash: string): string {
  const token = hash.replace(/^#/, "");
  return tokenShape.test(token) ? token : "";
}

export const lookAt = (token: string): Promise<InviteLinkView> => call<InviteLinkView>("/groups/links/look", { method: "POST", json: { token } });
export const joinBy = (token: string): Promise<Conversation> => call<Conversation>("/groups/links/join", { method: "POST", json: { token } });
