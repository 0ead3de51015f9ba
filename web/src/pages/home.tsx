// The start page: begin, plan or enter a meeting, and the meetings one has.
import { useEffect, useState } from "preact/hooks";
import { CalendarPlus, ChevronDown, Keyboard, Video } from "lucide-preact";
import { signedIn } from "../app/api";
import { dateText, dayText, hourOfDay } from "../app/dates";
import { codeFromText, createMeeting, listMeetings } from "../app/meetings";
import { go } from "../app/router";
import { useTitle } from "../app/title";
import type { Meeting } from "../app/types";
import { t } from "../i18n/i18n";
import { Button, Field, Spinner } from "../ui/controls";
import { toastError } from "../ui/toast";
import { MeetingForm } from "./meeting-form";
import { MeetingRow } from "./meeting-row";
import { ShareDialog } from "./share";
import { ZoneNote } from "./zone-note";

type DayPart = "home.morning" | "home.afternoon" | "home.evening";

function dayPart(): DayPart {
  const hour = hourOfDay(Date.now());
  return hour < 12 ? "home.morning" : hour < 18 ? "home.afternoon" : "home.evening";
}

interface Group {
  name: string;
  meetings: Meeting[];
}

// What runs now first, then by day, and last what may start any time.
export function groupUpcoming(meetings: Meeting[]): Group[] {
  const groups = new Map<string, Meeting[]>();
  const add = (name: string, m: Meeting) => groups.set(name, [...(groups.get(name) ?? []), m]);
  const byStart = [...meetings].sort((a, b) => (a.scheduled_start_ms || Infinity) - (b.scheduled_start_ms || Infinity));
  for (const m of byStart) if (m.state === "active") add(t("home.now"), m);
  for (const m of byStart)
    if (m.state === "scheduled" && m.scheduled_start_ms) add(dayText(m.scheduled_start_ms), m);
  for (const m of byStart) if (m.state === "scheduled" && !m.scheduled_start_ms) add(t("home.anyTime"), m);
  return [...groups].map(([name, list]) => ({ name, meetings: list }));
}

export default function Home() {
  const user = signedIn.value?.user;
  const [upcoming, setUpcoming] = useState<Meeting[] | null>(null);
  const [ended, setEnded] = useState<Meeting[]>([]);
  const [cursor, setCursor] = useState("");
  const [form, setForm] = useState<{ meeting?: Meeting } | null>(null);
  const [shared, setShared] = useState<Meeting | null>(null);
  const [isStarting, setStarting] = useState(false);
  useTitle(t("nav.meetings"));

  const reload = async () => {
    try {
      const [next, past] = await Promise.all([listMeetings("upcoming", "", 100), listMeetings("ended", "", 10)]);
      setUpcoming(next.meetings ?? []);
      setEnded(past.meetings ?? []);
      setCursor(past.next_cursor ?? "");
    } catch (error) {
      toastError(error);
      setUpcoming((known) => known ?? []);
    }
  };
  useEffect(() => {
    void reload();
    const onSeen = () => document.visibilityState === "visible" && void reload();
    document.addEventListener("visibilitychange", onSeen);
    return () => document.removeEventListener("visibilitychange", onSeen);
  }, []);

  const startNow = async () => {
    setStarting(true);
    try {
      const name = user?.nickname || user?.username || "";
      const meeting = await createMeeting({ title: t("home.instantTitle", { name }) });
      go(`/m/${meeting.code}`);
    } catch (error) {
      toastError(error);
      setStarting(false);
    }
  };
  const more = async () => {
    const page = await listMeetings("ended", cursor, 20);
    setEnded([...ended, ...(page.meetings ?? [])]);
    setCursor(page.next_cursor ?? "");
  };
  const rowProps = { onEdit: (m: Meeting) => setForm({ meeting: m }), onShare: setShared, onChanged: () => void reload() };

  return (
    <div class="page-inner">
      <header class="page-head">
        <h1>{t(dayPart(), { name: user?.nickname || user?.username || "" })}</h1>
        <p class="meta">{dateText(Date.now())}</p>
      </header>
      <ZoneNote />
      <div class="starters">
        <button type="button" class="starter starter-main" disabled={isStarting} onClick={() => void startNow()}>
          <span class="starter-icon">{isStarting ? <Spinner /> : <Video size={24} aria-hidden="true" />}</span>
          <span class="starter-title">{t("home.new")}</span>
          <span class="starter-text">{t("home.newText")}</span>
        </button>
        <button type="button" class="starter" onClick={() => setForm({})}>
          <span class="starter-icon">
            <CalendarPlus size={24} aria-hidden="true" />
          </span>
          <span class="starter-title">{t("home.schedule")}</span>
          <span class="starter-text">{t("home.scheduleText")}</span>
        </button>
        <JoinByCode />
      </div>
      {upcoming === null ? <Waiting /> : upcoming.length === 0 && ended.length === 0 ? <Nothing /> : null}
      {groupUpcoming(upcoming ?? []).map((group) => (
        <section key={group.name} class="day">
          <h2>{group.name}</h2>
          <ul class="cards">
            {group.meetings.map((m) => (
              <MeetingRow key={m.id} meeting={m} {...rowProps} />
            ))}
          </ul>
        </section>
      ))}
      {ended.length > 0 && (
        <section class="day day-past">
          <h2>{t("home.earlier")}</h2>
          <ul class="cards">
            {ended.map((m) => (
              <MeetingRow key={m.id} meeting={m} {...rowProps} />
            ))}
          </ul>
          {cursor && (
            <Button kind="quiet" icon={ChevronDown} onClick={() => void more().catch(toastError)}>
              {t("more.older")}
            </Button>
          )}
        </section>
      )}
      {form && (
        <MeetingForm
          {...form}
          onClose={() => setForm(null)}
          onDone={(m) => {
            if (!form.meeting) setShared(m);
            setForm(null);
            void reload();
          }}
        />
      )}
      {shared && <ShareDialog meeting={shared} onClose={() => setShared(null)} />}
    </div>
  );
}

function JoinByCode() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const submit = (e: Event) => {
    e.preventDefault();
    const code = codeFromText(text);
    if (code) go(`/m/${code}`);
    else setProblem(t("home.badCode"));
  };
  return (
    <form class="starter starter-join" onSubmit={submit} noValidate>
      <span class="starter-icon">
        <Keyboard size={24} aria-hidden="true" />
      </span>
      <span class="starter-title">{t("home.join")}</span>
      <div class="starter-code">
        <Field
          label={t("home.code")}
          isLabelHidden
          value={text}
          onValue={(v) => {
            setText(v);
            setProblem("");
          }}
          error={problem || undefined}
          placeholder="abc-defg-hij"
          autocapitalize="none"
          autocomplete="off"
          spellcheck={false}
        />
        <Button kind="plain" type="submit" disabled={!text.trim()}>
          {t("join")}
        </Button>
      </div>
    </form>
  );
}

function Waiting() {
  return (
    <div class="cards" aria-busy="true" aria-label={t("loading")} role="status">
      {[0, 1, 2].map((i) => (
        <div key={i} class="card skeleton" />
      ))}
    </div>
  );
}

function Nothing() {
  return (
    <div class="empty">
      <svg width="120" height="88" viewBox="0 0 120 88" aria-hidden="true" class="empty-art">
        <rect x="14" y="10" width="92" height="68" rx="12" />
        <rect x="24" y="20" width="34" height="26" rx="6" />
        <rect x="62" y="20" width="34" height="26" rx="6" />
        <rect x="24" y="50" width="34" height="18" rx="6" />
        <circle cx="79" cy="59" r="9" />
      </svg>
      <h2>{t("home.empty")}</h2>
      <p>{t("home.emptyText")}</p>
    </div>
  );
}
