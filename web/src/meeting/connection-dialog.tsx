// How the connection does, in words first and in figures below.
import { CircleCheck, TriangleAlert } from "lucide-preact";
import { locale, t } from "../i18n/i18n";
import { Note } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { rateText } from "../ui/figures";
import type { MeetingSession } from "./session";

function percent(fraction: number): string {
  return new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(fraction);
}

function milliseconds(ms: number): string {
  return `${new Intl.NumberFormat(locale(), { maximumFractionDigits: 0 }).format(ms)} ms`;
}

export function ConnectionDialog({ session, onClose }: { session: MeetingSession; onClose: () => void }) {
  const { score, cause } = session.quality.verdict.value;
  const told = session.room.quality.value.get(session.room.selfId.value);
  const f = session.quality.figures.value;
  const args = { loss: Math.round((told?.loss ?? 0) * 100), ms: Math.round(told?.roundTripMs ?? 0) };
  const rows: [string, string][] = f
    ? [
        [t("connection.roundTrip"), milliseconds(f.roundTripMs)],
        [t("connection.up"), `${rateText(f.upBps)} · ${t("connection.loss", { loss: percent(f.lossUp) })}`],
        [t("connection.down"), `${rateText(f.downBps)} · ${t("connection.loss", { loss: percent(f.lossDown) })}`],
        [t("connection.jitter"), milliseconds(f.jitterMs)],
        [t("connection.sent"), f.sent || "–"],
        [t("connection.received"), f.received || "–"],
        [t("connection.cipher"), f.transport || "–"],
      ]
    : [];
  return (
    <Dialog title={t("connection.title")} onClose={onClose}>
      <Note kind={score >= 3 ? "good" : "warn"} icon={score >= 3 ? CircleCheck : TriangleAlert}>
        <p class="strong">{t(`connection.score${score as 0 | 1 | 2 | 3}`)}</p>
        {cause !== "none" && <p>{t(`cause.${cause}`, args)}</p>}
      </Note>
      <dl class="figures">
        {rows.map(([name, value]) => (
          <div key={name} class="figures-row">
            <dt>{name}</dt>
            <dd class="tabular">{value}</dd>
          </div>
        ))}
      </dl>
      {!rows.length && <p class="meta">{t("connection.measuring")}</p>}
    </Dialog>
  );
}
