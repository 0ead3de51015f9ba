// After the meeting: what happened, and the ways on. Same address as before.
import { CircleAlert, CircleCheck, LogIn, MonitorSmartphone, UserX } from "lucide-preact";
import { signedIn } from "../app/api";
import { durationText } from "../app/dates";
import { useTitle } from "../app/title";
import { t } from "../i18n/i18n";
import { Button } from "../ui/controls";
import { Logo } from "../ui/logo";
import { talkPath } from "./chat";
import type { MeetingSession } from "./session";
import type { EndReason } from "./signal";

const icons: Record<EndReason, typeof LogIn> = {
  left: CircleCheck,
  navigated: CircleCheck,
  ended: CircleCheck,
  removed: UserX,
  refused: UserX,
  denied: UserX,
  elsewhere: MonitorSmartphone,
  signed_out: LogIn,
  broken: CircleAlert,
};
const mayComeBack: EndReason[] = ["left", "navigated", "elsewhere", "broken", "denied", "signed_out"];

export function AfterPage({ session, onRejoin }: { session: MeetingSession; onRejoin: () => void }) {
  const reason = session.endReason.value ?? "left";
  const meeting = session.room.meeting.value;
  const Glyph = icons[reason];
  const hasEndedIt = reason === "ended" && session.endedBy.value !== "" && session.endedBy.value === session.room.self.value?.user_id;
  const canComeBack = mayComeBack.includes(reason);
  const stayedMs = session.enteredAtMs.value ? session.leftAtMs.value - session.enteredAtMs.value : 0;
  useTitle(meeting.title);
  return (
    <div class="prejoin">
      <header class="prejoin-head">
        <a class="brand" href="/">
          <Logo size={28} />
          <span>Parlance</span>
        </a>
      </header>
      <main class="lonely after">
        <Glyph size={44} class={`after-icon is-${reason}`} aria-hidden="true" />
        <h1>{t(`after.${reason}`)}</h1>
        <p>
          {meeting.title}
          {stayedMs > 0 && ` · ${t("after.stayed", { time: durationText(stayedMs) })}`}
        </p>
        {reason !== "left" && reason !== "navigated" && <p>{t(hasEndedIt ? "after.endedBySelf" : `after.${reason}Text`)}</p>}
        <div class="btn-row">
          {canComeBack && (
            <Button kind="primary" onClick={onRejoin}>
              {t(reason === "elsewhere" ? "after.here" : "after.rejoin")}
            </Button>
          )}
          {signedIn.value && talkPath.value && (
            <a class="btn btn-plain" href={talkPath.value}>
              {t("chatBeside.after")}
            </a>
          )}
          {signedIn.value ? (
            <a class={`btn ${canComeBack ? "btn-plain" : "btn-primary"}`} href="/">
              {t("after.meetings")}
            </a>
          ) : (
            <a class={`btn ${canComeBack ? "btn-plain" : "btn-primary"}`} href="/register">
              {t("after.register")}
            </a>
          )}
        </div>
      </main>
    </div>
  );
}
