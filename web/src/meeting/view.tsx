// The meeting on the screen: stage, banners, panel, bar.
import { useEffect } from "preact/hooks";
import { Copy, UserPlus } from "lucide-preact";
import { copyText } from "../app/clipboard";
import { meetingLink } from "../app/meetings";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { Voices } from "./audio";
import { Banners } from "./banners";
import { Bar } from "./bar";
import { ChatPanel, useChat } from "./chat";
import { ConfirmHost } from "./confirm";
import { Dialogs } from "./dialogs";
import { listenToKeys } from "./keys";
import { PeoplePanel } from "./people";
import { closePip } from "./pip";
import { FlyingReactions } from "./reactions";
import type { MeetingSession } from "./session";
import { Stage } from "./stage";
import { isChatOpen, isPanelOpen, openDialog, resetView } from "./view-state";

function Alone({ session }: { session: MeetingSession }) {
  const { room } = session;
  if (room.members.value.size !== 1 || room.waiting.value.size) return null;
  const link = meetingLink(room.meeting.value.code);
  return (
    <div class="alone">
      <h2>{t("alone.title")}</h2>
      <p>{t("alone.text")}</p>
      <p class="alone-link">{link.replace(/^https?:\/\//, "")}</p>
      <div class="btn-row">
        <Button kind="primary" icon={Copy} onClick={() => void copyText(link, t("link.copied"))}>
          {t("link.copy")}
        </Button>
        {room.isModerator.value && (
          <Button icon={UserPlus} onClick={() => (openDialog.value = "invite")}>
            {t("people.invite")}
          </Button>
        )}
      </div>
    </div>
  );
}

export function MeetingView({ session }: { session: MeetingSession }) {
  useTitle(session.room.meeting.value.title);
  useEffect(() => listenToKeys(session), [session]);
  useEffect(() => {
    resetView();
    return closePip;
  }, [session]);
  useChat(session);
  return (
    <div class={`meeting${isPanelOpen.value || isChatOpen.value ? " has-panel" : ""}`}>
      <main class="meeting-main">
        <Stage session={session}>
          <Banners session={session} />
          <Alone session={session} />
          <FlyingReactions session={session} />
        </Stage>
      </main>
      {isPanelOpen.value && <PeoplePanel session={session} />}
      {isChatOpen.value && <ChatPanel />}
      <Bar session={session} />
      <Voices session={session} />
      <Dialogs session={session} />
      <ConfirmHost />
    </div>
  );
}
