// Files on their way. A file begins to travel when it is chosen in a composer; the message that has it is written when all of its
// files are there (bundles.ts).
import { signal } from "@preact/signals";
import { onAccountChange } from "../app/account-change";
import { call } from "../app/api";
import { errorCode, errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { claimOf, kindOf, type FileKind } from "./files";
import { Tus, type TusState } from "./tus";
import { wire } from "./wire";

export interface FileInfo {
  id: string;
  state: "uploading" | "checking" | "ready" | "refused" | "deleted";
  name: string;
  content_type: string;
  kind: "data" | "image" | "audio" | "video";
  size: number;
  width: number;
  height: number;
  duration_ms: number;
  waveform?: string;
  has_thumbnail?: boolean;
  problem?: string;
}

export interface Upload {
  id: number;
  file: File;
  kind: FileKind;
  // What can be drawn before the server has it.
  previewUrl: string;
  state: TusState | "checking" | "ready";
  sentBytes: number;
  error: string;
  info: FileInfo | null;
  // Where it goes on; "": it has not begun.
  url: string;
}

const checkEveryMs = 1_000;
const checksMost = 120;
const atOnceMost = 2;

export const uploads = signal<Map<number, Upload>>(new Map());
// By composer: what is chosen and not yet sent.
export const trays = signal<Map<string, number[]>>(new Map());

const carriers = new Map<number, Tus>();
let nextId = 1;
let onReady: () => void = () => undefined;

// Who is told that one more is there.
export function whenReady(run: () => void): void {
  onReady = run;
}

function change(id: number, fields: Partial<Upload>): void {
  const before = uploads.peek().get(id);
  if (before) uploads.value = new Map(uploads.peek()).set(id, { ...before, ...fields });
}

export function drop(id: number): void {
  const next = new Map(uploads.peek());
  const url = next.get(id)?.previewUrl;
  next.delete(id);
  uploads.value = next;
  carriers.delete(id);
  if (url) setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Files belong to whoever chose them.
onAccountChange(() => {
  trays.value = new Map();
  for (const carrier of carriers.values()) carrier.pause(); // what is kept goes on another time; the rest goes by itself after a day
  for (const id of uploads.peek().keys()) drop(id);
});

// ---- travelling ----

function pumpUploads(): void {
  const all = [...uploads.peek().values()];
  const busy = all.filter((u) => u.state === "uploading" || u.state === "retrying").length;
  for (const u of all.filter((x) => x.state === "waiting").slice(0, Math.max(0, atOnceMost - busy))) void carry(u.id);
}

async function carry(id: number): Promise<void> {
  const carrier = carriers.get(id);
  if (!carrier) return;
  await carrier.start();
  if (carrier.state === "done") await check(id, carrier.fileId);
  else if (carrier.state === "failed") await refuse(id, carrier.error?.status ?? 0);
  pumpUploads();
}

function refusalText(status: number): string {
  if (status === 413) return t("chat.file.tooLarge");
  if (status === 415) return t("chat.file.notReadable");
  if (status === 403) return t("chat.file.notAllowed");
  return t("chat.file.failed");
}

// Not what its name says it is: then it travels again as a plain file, which the server keeps and never shows.
async function refuse(id: number, status: number): Promise<void> {
  const u = uploads.peek().get(id);
  if (u && status === 415 && u.kind !== "voice" && u.kind !== "file") {
    change(id, { kind: "file", state: "waiting", sentBytes: 0 });
    carriers.set(id, carrierOf(id, u.file, ""));
    return;
  }
  change(id, { state: "failed", error: refusalText(status) });
}

// The server has it all; what it is may still be being found out.
async function check(id: number, fileId: string): Promise<void> {
  change(id, { state: "checking" });
  for (let i = 0; i < checksMost && uploads.peek().has(id); i++) {
    try {
      const info = await call<FileInfo>(`/files/${encodeURIComponent(fileId)}/info`);
      if (info.state === "ready") {
        change(id, { state: "ready", info, sentBytes: info.size });
        return onReady();
      }
      if (info.state === "refused") return refuse(id, 415);
    } catch (error) {
      if (errorCode(error) === "offline") i--; // without connection one waits
      else if (i === checksMost - 1) return change(id, { state: "failed", error: errorText(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, checkEveryMs));
  }
  change(id, { state: "failed", error: t("chat.file.failed") });
}

function carrierOf(id: number, file: File, claim: string, url = ""): Tus {
  const carrier: Tus = new Tus({
    wire, file, name: file.name, claim, url,
    onChange: () => change(id, { state: carrier.state === "done" ? "checking" : carrier.state, sentBytes: carrier.sentBytes, url: carrier.url }),
  });
  return carrier;
}

// `url`: where it stood in another page.
export function begin(file: File, kind: FileKind, url = ""): number {
  const id = nextId++;
  const isDrawn = kind === "image" || kind === "video";
  const u: Upload = { id, file, kind, previewUrl: isDrawn ? URL.createObjectURL(file) : "", state: "waiting", sentBytes: 0, error: "", info: null, url };
  uploads.value = new Map(uploads.peek()).set(id, u);
  carriers.set(id, carrierOf(id, file, kind === "voice" ? file.type.split(";")[0] ?? "" : kind === "file" ? "" : claimOf(file.type), url));
  pumpUploads();
  return id;
}

// ---- the tray of a composer ----

// Empty ones are nothing to send; the names of those are given back.
export function choose(key: string, files: File[]): string[] {
  const empty = files.filter((f) => !f.size).map((f) => f.name);
  const ids = files.filter((f) => f.size).map((f) => begin(f, kindOf(f.type)));
  trays.value = new Map(trays.peek()).set(key, [...(trays.peek().get(key) ?? []), ...ids]);
  return empty;
}

export function unchoose(key: string, id: number): void {
  trays.value = new Map(trays.peek()).set(key, (trays.peek().get(key) ?? []).filter((x) => x !== id));
  cancel(id);
}

export function cancel(id: number): void {
  void carriers.get(id)?.cancel();
  drop(id);
  pumpUploads();
}

export function pause(id: number): void {
  carriers.get(id)?.pause();
  pumpUploads();
}

export function resume(id: number): void {
  change(id, { state: "waiting", error: "" });
  pumpUploads();
}
