// Messages that wait for their files. Each is kept in the browser with its files (parcels.ts) until it is written: a page that
// is opened again goes on where the last one stood.
import { computed, effect, signal } from "@preact/signals";
import { onAccountChange } from "../app/account-change";
import { keepBlob } from "./blobs";
import { gathered } from "./files";
import { newId } from "./ids";
import { dropParcel, hold, keepParcel, keptParcels, letGo, noteFiles, parcelFiles, type Parcel, type ParcelFile } from "./parcels";
import type { ChatStore } from "./store";
import type { Attachment, Content } from "./types";
import { begin, cancel, drop, trays, uploads, whenReady, type Upload } from "./uploads";

export interface Bundle {
  parcel: Parcel;
  uploadIds: number[];
  // undefined: not known yet; false: it lasts as long as this page.
  isKept: boolean | undefined;
}

export interface Where {
  to: string;
  content: Content;
  replyToSeq: number;
  threadSeq: number;
}

const adoptEveryMs = 60_000;

export const bundles = signal<Bundle[]>([]);
let store: ChatStore | null = null; // where messages go when their files are there

const uploadsOf = (bundle: Bundle): Upload[] => bundle.uploadIds.flatMap((id) => uploads.value.get(id) ?? []);
const without = (key: string): Bundle[] => bundles.peek().filter((b) => b.parcel.key !== key);

// Files belong to whoever chose them; what is kept goes with a sign-out (app/remembered.ts) and stays without one.
onAccountChange(() => {
  store = null;
  for (const { parcel } of bundles.peek()) letGo(parcel.key);
  bundles.value = [];
});

// Files that only this page has: the browser asks before it goes.
function warn(e: BeforeUnloadEvent): void {
  e.preventDefault();
}
const isAnyAtRisk = computed(() => {
  const kept = new Set(bundles.value.filter((b) => b.isKept).flatMap((b) => b.uploadIds));
  return [...uploads.value.keys()].some((id) => !kept.has(id));
});
effect(() => {
  if (!isAnyAtRisk.value) return;
  addEventListener("beforeunload", warn);
  return () => removeEventListener("beforeunload", warn);
});

// ---- kept ----

const filesNow = (bundle: Bundle): ParcelFile[] => uploadsOf(bundle).map((u) => ({ name: u.file.name, kind: u.kind, url: u.url }));

async function keep(bundle: Bundle): Promise<void> {
  const { key } = bundle.parcel;
  await hold(key);
  const isKept = await keepParcel({ ...bundle.parcel, files: filesNow(bundle) }, uploadsOf(bundle).map((u) => u.file));
  const isHere = bundles.peek().some((b) => b.parcel.key === key);
  if (!isHere) return void dropParcel(bundle.parcel).then(() => letGo(key)); // sent or thrown away meanwhile
  bundles.value = bundles.peek().map((b) => (b.parcel.key === key ? { ...b, isKept } : b));
}

function forget({ parcel }: Bundle): void {
  bundles.value = without(parcel.key);
  noted.delete(parcel.key);
  void dropParcel(parcel).then(() => letGo(parcel.key));
}

// Where each upload stands is written down when it has moved elsewhere.
const noted = new Map<string, string>();
effect(() => {
  for (const bundle of bundles.value) {
    const files = filesNow(bundle);
    if (!bundle.isKept || files.length !== bundle.uploadIds.length) continue;
    const line = JSON.stringify(files);
    if (noted.get(bundle.parcel.key) === line) continue;
    noted.set(bundle.parcel.key, line);
    void noteFiles(bundle.parcel.key, files);
  }
});

// Whom there is a conversation with by now has an id.
function placeOf(to: string): string {
  const peer = to.startsWith("u:") ? to.slice(2) : "";
  const known = peer && store?.sorted.peek().find((c) => c.kind === "direct" && c.peer_id === peer);
  return store?.moved.peek().get(to) ?? (known ? known.id : to);
}

async function adopt(parcel: Parcel): Promise<void> {
  if (bundles.peek().some((b) => b.parcel.key === parcel.key) || !(await hold(parcel.key))) return;
  const files = await parcelFiles(parcel);
  if (store?.me !== parcel.account) return letGo(parcel.key); // signed out meanwhile
  if (!files || bundles.peek().some((b) => b.parcel.key === parcel.key)) {
    if (!files) void dropParcel(parcel).then(() => letGo(parcel.key));
    return;
  }
  const uploadIds = files.map((file, i) => begin(file, parcel.files[i]?.kind ?? "file", parcel.files[i]?.url));
  bundles.value = [...bundles.peek(), { parcel: { ...parcel, to: placeOf(parcel.to) }, uploadIds, isKept: true }];
}

async function adoptAll(account: string): Promise<void> {
  for (const parcel of await keptParcels(account)) if (store?.me === account) await adopt(parcel);
}

// Whom one wrote to has a conversation by now: what was chosen for it is shown there.
function follow(from: string, to: string): void {
  const ids = trays.peek().get(from) ?? [];
  if (ids.length) trays.value = new Map(trays.peek()).set(from, []).set(to, [...(trays.peek().get(to) ?? []), ...ids]);
  const move = (b: Bundle): Bundle => (b.parcel.to === from ? { ...b, parcel: { ...b.parcel, to } } : b);
  if (bundles.peek().some((b) => b.parcel.to === from)) bundles.value = bundles.peek().map(move);
}

// What pages that are gone have left is carried on, now and from time to time.
export function carryOn(by: ChatStore): () => void {
  store = by;
  void adoptAll(by.me);
  const timer = setInterval(() => void adoptAll(by.me), adoptEveryMs);
  const stop = effect(() => by.moved.value.forEach((to, from) => follow(from, to)));
  return () => {
    clearInterval(timer);
    stop();
  };
}

// ---- written ----

function attachmentOf(u: Upload): Attachment {
  const i = u.info;
  return {
    file_id: i?.id ?? "", name: u.file.name, content_type: i?.content_type ?? "", size: u.file.size, width: i?.width ?? 0, height: i?.height ?? 0,
    duration_ms: i?.duration_ms ?? 0, ...(i?.waveform ? { waveform: i.waveform } : {}), has_thumbnail: i?.has_thumbnail ?? false,
  };
}

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

// Pictures first, with the words: each kind is a message of its own.
function sendUploads(by: ChatStore, chosen: Upload[], where: Where): void {
  store = by;
  const made = gathered(chosen).map(({ kind, items }, i): Bundle => ({
    uploadIds: items.map((u) => u.id), isKept: undefined,
    parcel: {
      key: newId(), account: by.me, to: where.to, threadSeq: where.threadSeq, replyToSeq: i ? 0 : where.replyToSeq, atMs: Date.now() + i,
      content: i ? { kind, text: "" } : { ...where.content, kind }, bytes: items.reduce((sum, u) => sum + u.file.size, 0), files: [],
    },
  }));
  bundles.value = [...bundles.peek(), ...made];
  made.forEach((bundle) => void keep(bundle));
  release();
}

export function discardBundle(key: string): void {
  const bundle = bundles.peek().find((b) => b.parcel.key === key);
  if (!bundle) return;
  forget(bundle);
  bundle.uploadIds.forEach(cancel);
}

// Whose files are all there is written; what was refused keeps its message waiting until somebody decides.
function release(): void {
  if (!store) return;
  for (const bundle of bundles.peek()) {
    const files = bundle.uploadIds.flatMap((id) => uploads.peek().get(id) ?? []);
    if (bundle.parcel.account !== store.me || files.length !== bundle.uploadIds.length || !files.every((u) => u.state === "ready")) continue;
    const { key, content, replyToSeq, threadSeq } = bundle.parcel;
    // What turned out to be no picture makes the message one of plain files.
    const isAllOfKind = files.every((u) => u.kind === content.kind);
    const to = placeOf(bundle.parcel.to);
    for (const u of files) if (u.info?.has_thumbnail && u.kind === "image") keepBlob(to, u.info.id, u.file);
    const saying = { content: { ...content, kind: isAllOfKind ? content.kind : "file", attachments: files.map(attachmentOf) }, replyToSeq, threadSeq };
    store.send(to, saying, key); // kept by the outbox from now on
    forget(bundle);
    files.forEach((u) => drop(u.id));
  }
}
whenReady(release);
