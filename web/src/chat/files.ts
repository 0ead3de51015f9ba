// Files as messages carry them: what kind they are, how they are gathered into messages, how large they are drawn. No screen.
import { locale } from "../i18n/i18n";
import type { ContentKind } from "./types";

// What browsers and the server both understand; all else is sent as it is and downloaded.
const claimed: Record<string, "image" | "video"> = {
  "image/png": "image", "image/jpeg": "image", "image/webp": "image", "image/gif": "image", "video/mp4": "video", "video/webm": "video",
};
export const filesMost = 20;

export function claimOf(type: string): string {
  return type in claimed ? type : "";
}

export type FileKind = "image" | "video" | "voice" | "file";

export function kindOf(type: string): FileKind {
  return claimed[type] ?? "file";
}

export interface Sized {
  kind: FileKind;
}

// A message is of one kind: pictures go together, films go together, the rest goes together. In the order of their first.
export function gathered<T extends Sized>(items: T[]): { kind: ContentKind; items: T[] }[] {
  const parts = new Map<FileKind, T[]>();
  for (const item of items) parts.set(item.kind, [...(parts.get(item.kind) ?? []), item]);
  return [...parts].flatMap(([kind, all]) => {
    const slices = Array.from({ length: Math.ceil(all.length / filesMost) }, (_, i) => all.slice(i * filesMost, (i + 1) * filesMost));
    return slices.map((slice) => ({ kind, items: slice }));
  });
}

// How large a picture is drawn: whole, within the box, never blown up, never a sliver.
export function fitted(width: number, height: number, mostWidth: number, mostHeight: number): { width: number; height: number } {
  if (!(width > 0 && height > 0)) return { width: mostWidth, height: Math.round(mostWidth * 0.66) };
  const scale = Math.min(1, mostWidth / width, mostHeight / height);
  return { width: Math.max(64, Math.round(width * scale)), height: Math.max(48, Math.round(height * scale)) };
}

// Loudness values of a byte each, as so many bars between 0 and 1.
export function barsOf(waveform: string | undefined, count: number): number[] {
  let bytes: number[] = [];
  try {
    bytes = [...atob(waveform ?? "")].map((c) => c.charCodeAt(0));
  } catch {
    // drawn flat
  }
  if (!bytes.length) return Array<number>(count).fill(0);
  const most = Math.max(...bytes, 1);
  return Array.from({ length: count }, (_, i) => {
    const part = bytes.slice(Math.floor((i * bytes.length) / count), Math.max(Math.floor((i * bytes.length) / count) + 1, Math.floor(((i + 1) * bytes.length) / count)));
    return Math.max(...part) / most;
  });
}

export function sizeText(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return new Intl.NumberFormat(locale(), { style: "unit", unit: units[step] ?? "byte", unitDisplay: "short", maximumFractionDigits: value < 10 && step ? 1 : 0 }).format(value);
}
