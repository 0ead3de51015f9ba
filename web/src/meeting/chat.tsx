// The meeting's door to its chat: fetches that (chat/beside.tsx) when it is asked for, or when the meeting has come to rest,
// because only then can be said how much is unread.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { MessageSquare } from "lucide-preact";
import type { Beside, BesidePanel } from "../chat/beside";
import { loadMessages, t } from "../i18n/i18n";
import { toastError } from "../ui/toast";
import { BarButton } from "./bar-button";
import type { MeetingSession } from "./session";
import { isChatOpen, toggleChat } from "./view-state";

const restMs = 6_000;

interface Loaded {
  beside: Beside;
  Panel: typeof BesidePanel;
}

const loaded = signal<Loaded | null>(null);
// Where the talk of the last meeting goes on.
export const talkPath = signal("");
let loading: MeetingSession | null = null;

async function load(session: MeetingSession): Promise<void> {
  if (loading === session) return;
  loading = session;
  try {
    const { Beside, BesidePanel: Panel } = await import("../chat/beside");
    await loadMessages("chat");
    if (loading !== session || session.phase.value !== "inside") return;
    const beside = new Beside({
      meetingId: session.reply.meeting.id,
      userId: () => session.room.self.value?.user_id ?? session.reply.participant.user_id,
      guestToken: () => session.caller.token ?? "",
      members: session.room.members,
    });
    loaded.value = { beside, Panel };
  } catch (error) {
    loading = null;
    if (isChatOpen.value) toastError(error);
    isChatOpen.value = false;
  }
}

export function useChat(session: MeetingSession): void {
  const isInside = session.phase.value === "inside";
  useEffect(() => {
    if (!isInside) return;
    const timer = setTimeout(() => void load(session), restMs);
    return () => {
      clearTimeout(timer);
      loading = null;
      talkPath.value = loaded.value?.beside.path ?? "";
      loaded.value?.beside.close();
      loaded.value = null;
    };
  }, [session, isInside]);
  const isOpen = isChatOpen.value;
  useEffect(() => {
    if (isInside && isOpen) void load(session);
  }, [session, isInside, isOpen]);
}

export function ChatPanel() {
  const Panel = loaded.value?.Panel;
  if (!Panel || !loaded.value) return <aside class="panel" aria-label={t("chatBeside.title")} aria-busy="true" />;
  return <Panel beside={loaded.value.beside} onClose={() => (isChatOpen.value = false)} />;
}

export function ChatButton() {
  const count = loaded.value?.beside.unreadCount.value ?? 0;
  return (
    <BarButton
      icon={MessageSquare}
      label={t("chatBeside.button", { count })}
      keyHint="c"
      class={`is-plain${isChatOpen.value ? " is-active" : ""}`}
      isPressed={isChatOpen.value}
      onClick={toggleChat}
    >
      {count > 0 && (
        <span class="bar-count is-unread" aria-hidden="true">
          {count > 99 ? "99+" : count}
        </span>
      )}
    </BarButton>
  );
}
