// Files on their way: those chosen in a composer, and messages that wait for theirs. A file begins to travel when it is chosen; the
// message is written when all of its files are there.
import { computed, effect, signal } from "@preact/signals";
import { onAccountChange } from "../app/account-change";
import { call } from "../app/api";
import { errorText } from "../app/errors";
import { t } from "../i18n/i18n";
import { keepBlob } from "./blobs";
import { claimOf, gathered, kindOf, type FileKind } from "./files";
import type { ChatStore } from "./store";
import { Tus, type TusState } from "./tus";
import type { Attachment, Content } from "./types";
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
}

// A message whose files are on their way.
export interface Bundle {
  id: number;
  to: string;
  content: Content;
  replyToSeq: number;
  threadSeq: number;
  uploadIds: number[];
}

const checkEveryMs = 1_000;
const checksMost = 120;
const atOnceMost = 2;

export const uploads = signal<Map<number, Upload>>(new Map());
// By composer: what is chosen and not yet sent.
export const trays = signal<Map<string, number[]>>(new Map());
export const bundles = signal<Bundle[]>([]);

const carriers = new Map<number, Tus>();
let store: ChatStore | null = null; // where messages go when their files are there
let nextId = 1;

function change(id: number, fields: Partial<Upload>): void {
  const before = uploads.peek().get(id);
  if (before) uploads.value = new Map(uploads.peek()).set(id, { ...before, ...fields });
}

function drop(id: number): void {
  const next = new Map(uploads.peek());
  const url = next.get(id)?.previewUrl;
  next.delete(id);
  uploads.value = next;
  carriers.delete(id);
  if (url) setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Files belong to whoever chose them.
onAccountChange(() => {
  store = null;
  bundles.value = [];
  trays.value = new Map();
  for (const carrier of carriers.values()) void carrier.cancel();
  for (const id of uploads.peek().keys()) drop(id);
});

// They are not kept over a reload: the browser asks first.
function warn(e: BeforeUnloadEvent): void {
  e.preventDefault();
}
const isAny = computed(() => uploads.value.size > 0);
effect(() => {
  if (!isAny.value) return;
  addEventListener("beforeunload", warn);
  return () => removeEventListener("beforeunload", warn);
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
        return release();
      }
      if (info.state === "refused") return refuse(id, 415);
    } catch (error) {
      if (i === checksMost - 1) return change(id, { state: "failed", error: errorText(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, checkEveryMs));
  }
  change(id, { state: "failed", error: t("chat.file.failed") });
}

function carrierOf(id: number, file: File, claim: string): Tus {
  const carrier: Tus = new Tus({
    wire, file, name: file.name, claim, onChange: () => change(id, { state: carrier.state === "done" ? "checking" : carrier.state, sentBytes: carrier.sentBytes }),
  });
  return carrier;
}

function begin(file: File, kind: FileKind): number {
  const id = nextId++;
  const isDrawn = kind === "image" || kind === "video";
  const u: Upload = { id, file, kind, previewUrl: isDrawn ? URL.createObjectURL(file) : "", state: "waiting", sentBytes: 0, error: "", info: null };
  uploads.value = new Map(uploads.peek()).set(id, u);
  carriers.set(id, carrierOf(id, file, kind === "voice" ? file.type.split(";")[0] ?? "" : claimOf(file.type)));
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

function cancel(id: number): void {
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

// ---- messages that wait for their files ----

function attachmentOf(u: Upload): Attachment {
  const i = u.info;
  return {
    file_id: i?.id ?? "", name: u.file.name, content_type: i?.content_type ?? "", size: u.file.size, width: i?.width ?? 0, height: i?.height ?? 0,
    duration_ms: i?.duration_ms ?? 0, ...(i?.waveform ? { waveform: i.waveform } : {}), has_thumbnail: i?.has_thumbnail ?? false,
  };
}

interface Where {
  to: string;
  content: Content;
  replyToSeq: number;
  threadSeq: number;
}

// Pictures first, with the words: each kind is a message of its own.
export function sendTray(by: ChatStore, key: string, where: Where): void {
  const chosen = (trays.peek().get(key) ?? []).flatMap((id) => uploads.peek().get(id) ?? []);
  trays.value = new Map(trays.peek()).set(key, []);
  sendUploads(by, chosen, where);
}

export function sendVoice(by: ChatStore, file: File, where: Omit<Where, "content">): void {
  const id = begin(file, "voice");
  const u = uploads.peek().get(id);
  if (u) sendUploads(by, [u], { ...where, content: { kind: "voice", text: "" } });
}

function sendUploads(by: ChatStore, chosen: Upload[], where: Where): void {
  store = by;
  const made = gathered(chosen).map(({ kind, items }, i): Bundle => ({
    id: nextId++, to: where.to, threadSeq: where.threadSeq, replyToSeq: i ? 0 : where.replyToSeq, uploadIds: items.map((u) => u.id),
    content: i ? { kind, text: "" } : { ...where.content, kind },
  }));
  bundles.value = [...bundles.peek(), ...made];
  release();
}

export function discardBundle(id: number): void {
  const bundle = bundles.peek().find((b) => b.id === id);
  bundles.value = bundles.peek().filter((b) => b.id !== id);
  bundle?.uploadIds.forEach(cancel);
}

// Whose files are all there is written; what was refused keeps its message waiting until somebody decides.
function release(): void {
  for (const bundle of bundles.peek()) {
    const files = bundle.uploadIds.flatMap((id) => uploads.peek().get(id) ?? []);
    if (files.length !== bundle.uploadIds.length || !files.every((u) => u.state === "ready")) continue;
    // What turned out to be no picture makes the message one of plain files.
    const isAllOfKind = files.every((u) => u.kind === bundle.content.kind);
    const to = store?.moved.peek().get(bundle.to) ?? bundle.to;
    for (const u of files) if (u.info?.has_thumbnail && u.kind === "image") keepBlob(to, u.info.id, u.file);
    store?.send(to, {
      content: { ...bundle.content, kind: isAllOfKind ? bundle.content.kind : "file", attachments: files.map(attachmentOf) },
      replyToSeq: bundle.replyToSeq, threadSeq: bundle.threadSeq,
    });
    bundles.value = bundles.peek().filter((b) => b.id !== bundle.id);
    files.forEach((u) => drop(u.id));
  }
}
