// What one can do with a message. What needs a question or a choice first is done by the conversation (deeds.tsx).
import { Copy, Ellipsis, Eye, EyeOff, Forward, Link2, MessagesSquare, Pencil, Pin, PinOff, Reply, SmilePlus, Undo2 } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { t } from "../i18n/i18n";
import { Menu, type MenuEntry } from "../ui/menu";
import { toastError } from "../ui/toast";
import type { Doing, Deed } from "./conversation";
import { EmojiButton } from "./emoji-button";
import type { ChatStore } from "./store";
import type { Message } from "./types";

export interface ActionsProps {
  store: ChatStore;
  message: Message;
  isGone: boolean;
  isInThread: boolean | undefined;
  onDo: (doing: Doing) => void;
}

export function Actions({ store, message, isGone, isInThread, onDo }: ActionsProps) {
  const c = store.conversations.value.get(message.conversation_id);
  const own = c?.own;
  const isIn = own?.state === "active" && !c?.is_dissolved;
  const isMine = message.sender_id === store.me;
  const isLeader = own !== undefined && own.role !== "member";
  const entry = (type: Deed, text: string, icon: typeof Copy, isDanger = false): MenuEntry => ({
    text, icon, ...(isDanger ? { isDanger } : {}), onPick: () => onDo({ type, message }),
  });
  const pin = () => void store.request("pin", { id: message.conversation_id, seq: message.seq, is_removed: message.is_pinned ?? false }).catch(toastError);
  const link = `${location.origin}/c/${message.conversation_id}?at=${message.seq}`;
  const more = (): MenuEntry[] => [
    ...(!isGone && isIn ? [entry("reply", t("chat.reply"), Reply)] : []),
    ...(!isGone && isIn && !isInThread && c?.kind !== "direct" ? [entry("thread", t("chat.replyInThread"), MessagesSquare)] : []),
    ...(!isGone ? [entry("forward", t("chat.forward"), Forward)] : []),
    ...(!isGone && message.content?.text ? [{ text: t("copy"), icon: Copy, onPick: () => void copyText(message.content?.text ?? "", t("chat.copied")) }] : []),
    { text: t("chat.copyLink"), icon: Link2, onPick: () => void copyText(link, t("chat.linkCopied")) },
    ...(!isGone && isIn && (isLeader || c?.kind === "direct")
      ? [{ text: t(message.is_pinned ? "chat.unpin" : "chat.pin"), icon: message.is_pinned ? PinOff : Pin, onPick: pin }]
      : []),
    ...(!isGone && isMine && isIn && message.content?.kind === "text" && !message.forwarded_from ? [entry("edit", t("chat.edit"), Pencil)] : []),
    ...(!isGone && isMine ? [entry("receipts", t("chat.receipts"), Eye)] : []),
    "line" as const,
    entry("hide", t("chat.hide"), EyeOff),
    ...(!isGone && isIn && (isMine || isLeader) ? [entry("recall", isMine ? t("chat.recall") : t("chat.removeMessage"), Undo2, true)] : []),
  ];
  return (
    <div class="msg-actions">
      {!isGone && isIn && (
        <EmojiButton label={t("chat.react")} onPick={(emoji) => void store.react(message, emoji).catch(toastError)}>
          <SmilePlus size={18} aria-hidden="true" />
        </EmojiButton>
      )}
      <Menu label={t("chat.actions")} entries={more}>
        <Ellipsis size={18} aria-hidden="true" />
      </Menu>
    </div>
  );
}
