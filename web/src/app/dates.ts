// Dates and times as the reader's language writes them, in the time zone of the account; all by Intl.
import { signal } from "@preact/signals";
import { locale } from "../i18n/i18n";

const dayMs = 86_400_000;

// Making a formatter takes a hundred times as long as formatting: each is made once.
const made = new Map<string, Intl.DateTimeFormat>();

function formatter(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options);
  const known = made.get(key) ?? new Intl.DateTimeFormat(language, options);
  made.set(key, known);
  return known;
}

let zoneSeenAtMs = -Infinity;
let zone = "";

// A device that travels is noticed within a minute.
export function deviceZone(): string {
  if (Date.now() - zoneSeenAtMs > 60_000 || Date.now() < zoneSeenAtMs) {
    zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    zoneSeenAtMs = Date.now();
  }
  return zone;
}

// The zone of the account; empty: this device's.
const accountZone = signal("");

export function shownZone(): string {
  return accountZone.value || deviceZone();
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

// A zone that this browser does not know is as good as none.
export function setShownZone(name: string): void {
  accountZone.value = name && isZone(name) ? name : "";
}

function dateFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return formatter(locale(), { ...options, timeZone: shownZone() });
}

// What clock and calendar say there at that moment, as if it were UTC.
function wallMs(ms: number): number {
  const format = formatter("en-US", {
    timeZone: shownZone(), hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
  });
  const parts = new Map(format.formatToParts(ms).map((p) => [p.type, Number(p.value)]));
  const of = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"));
}

// Whether the clock of this device shows another time than that of the account.
export function clockDiffers(): boolean {
  const now = Date.now();
  const deviceMs = now - new Date(now).getTimezoneOffset() * 60_000;
  return Math.floor(deviceMs / 60_000) !== Math.floor(wallMs(now) / 60_000);
}

function dayNumber(ms: number): number {
  return Math.floor(wallMs(ms) / dayMs);
}

const quarterMs = 900_000;
let dayNumbers = new Map<number, number>();
let dayNumbersZone = "";

// A name of the day, the same for all moments of it; cheap, for lists. (Every zone's clock turns at a quarter.)
export function dayKey(ms: number): string {
  if (dayNumbersZone !== shownZone() || dayNumbers.size > 10_000) {
    dayNumbers = new Map();
    dayNumbersZone = shownZone();
  }
  const quarter = Math.floor(ms / quarterMs);
  const day = dayNumbers.get(quarter) ?? dayNumber(ms);
  dayNumbers.set(quarter, day);
  return String(day);
}

export function timeText(ms: number): string {
  return dateFormat({ hour: "numeric", minute: "2-digit" }).format(ms);
}

export function dateText(ms: number): string {
  const isThisYear = new Date(wallMs(ms)).getUTCFullYear() === new Date(wallMs(Date.now())).getUTCFullYear();
  return dateFormat({ weekday: "long", day: "numeric", month: "long", ...(isThisYear ? {} : { year: "numeric" }) }).format(ms);
}

export function dateTimeText(ms: number): string {
  return dateFormat({ dateStyle: "medium", timeStyle: "short" }).format(ms);
}

function capitalized(text: string): string {
  return text.charAt(0).toLocaleUpperCase(locale()) + text.slice(1);
}

// "Today", "Tomorrow", else the date.
export function dayText(ms: number): string {
  const days = dayNumber(ms) - dayNumber(Date.now());
  if (Math.abs(days) <= 1) return capitalized(new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(days, "day"));
  return dateText(ms);
}

// "Yesterday", "18 Nov", "18 Nov 2025".
export function shortDayText(ms: number): string {
  if (dayNumber(Date.now()) - dayNumber(ms) <= 1) return dayText(ms);
  const isThisYear = new Date(wallMs(ms)).getUTCFullYear() === new Date(wallMs(Date.now())).getUTCFullYear();
  return dateFormat({ day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) }).format(ms);
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

export function hourOfDay(ms: number): number {
  return new Date(wallMs(ms)).getUTCHours();
}

// The values of <input type="date"> and <input type="time">.
export function dateField(ms: number): string {
  return new Date(wallMs(ms)).toISOString().slice(0, 10);
}

export function timeField(ms: number): string {
  return new Date(wallMs(ms)).toISOString().slice(11, 16);
}

// The moment at which clock and calendar there say that; NaN: they never do. Asked twice, because the first guess may lie
// on the other side of a change to or from summer time.
export function fieldsToMs(date: string, time: string): number {
  const wanted = Date.parse(`${date}T${time}Z`);
  if (Number.isNaN(wanted)) return NaN;
  const guess = wanted - (wallMs(wanted) - wanted);
  return guess + (wanted - wallMs(guess));
}
