// Dates and times as the reader's language writes them, all by Intl.
import { locale } from "../i18n/i18n";

const dayMs = 86_400_000;

export function timeText(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { hour: "numeric", minute: "2-digit" }).format(ms);
}

export function dateText(ms: number): string {
  const options: Intl.DateTimeFormatOptions = { weekday: "long", day: "numeric", month: "long" };
  if (new Date(ms).getFullYear() !== new Date().getFullYear()) options.year = "numeric";
  return new Intl.DateTimeFormat(locale(), options).format(ms);
}

export function dateTimeText(ms: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(ms);
}

export function startOfDay(ms: number): number {
  const d = new Date(ms);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
}

function capitalized(text: string): string {
  return text.charAt(0).toLocaleUpperCase(locale()) + text.slice(1);
}

// "Today", "Tomorrow", else the date.
export function dayText(ms: number): string {
  const days = Math.round((startOfDay(ms) - startOfDay(Date.now())) / dayMs);
  if (Math.abs(days) <= 1) return capitalized(new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(days, "day"));
  return dateText(ms);
}

// "3 hours ago", "in 5 minutes".
export function relativeText(ms: number): string {
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  const minutes = Math.round((ms - Date.now()) / 60_000);
  if (Math.abs(minutes) < 60) return format.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 24) return format.format(hours, "hour");
  return format.format(Math.round(hours / 24), "day");
}

function unit(value: number, name: "hour" | "minute" | "second"): string {
  return new Intl.NumberFormat(locale(), { style: "unit", unit: name, unitDisplay: "short" }).format(value);
}

// "45 min", "1 hr 30 min".
export function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (ms > 0 && ms < 60_000) return unit(Math.max(1, Math.round(ms / 1000)), "second");
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  return [hours ? unit(hours, "hour") : "", rest || !hours ? unit(rest, "minute") : ""].filter(Boolean).join(" ");
}

// The clock of a running meeting: "4:07", "1:04:07".
export function clockText(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

// The values of <input type="date"> and <input type="time">, in local time.
export function dateField(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`;
}

export function timeField(ms: number): string {
  const d = new Date(ms);
  return `${String(d.getHours()).padStart(2, "0")}:${String(d.getMinutes()).padStart(2, "0")}`;
}

export function fieldsToMs(date: string, time: string): number {
  return new Date(`${date}T${time}`).getTime();
}

export function ownTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
