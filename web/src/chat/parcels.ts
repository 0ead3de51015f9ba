// Messages whose files are on their way, kept in a database of the browser with the files themselves and with where each
// upload stands, so that a page that is closed loses none. Which tab carries a parcel is said by a lock. Sign-out deletes it all
// (app/remembered.ts); what is too much, or what the browser refuses, is not kept, and the page says so.
import { done, ended } from "./idb";
import type { FileKind } from "./files";
import type { Content } from "./types";

const databaseName = "parlance.parcels";
const bytesMost = 1024 * 1024 * 1024;
// Of what the browser would give.
const shareMost = 0.8;

export interface ParcelFile {
  name: string;
  kind: FileKind;
  // Of the upload; "": it has not begun.
  url: string;
}

export interface Parcel {
  // The client_msg_id of the message it will be: sent from two pages it is there once.
  key: string;
  account: string;
  to: string;
  content: Content;
  replyToSeq: number;
  threadSeq: number;
  atMs: number;
  bytes: number;
  files: ParcelFile[];
}

const fileKey = (key: string, index: number) => `${key}/${index}`;
const filesOf = (p: Parcel) => IDBKeyRange.bound(`${p.key}/`, `${p.key}/\uffff`);

let opened: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(databaseName, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("parcels", { keyPath: "key" });
      request.result.createObjectStore("files");
    };
    request.onsuccess = () => {
      const db = request.result;
      db.onversionchange = db.onclose = () => {
        db.close();
        opened = null;
      };
      resolve(db);
    };
    request.onerror = () => reject(request.error ?? new Error("no database"));
  });
  opened.catch(() => (opened = null));
  return opened;
}

async function hasRoom(bytes: number, kept: Parcel[]): Promise<boolean> {
  if (kept.reduce((sum, p) => sum + p.bytes, bytes) > bytesMost) return false;
  const storage = navigator.storage as StorageManager | undefined;
  const { usage = 0, quota = Infinity } = (await storage?.estimate?.()) ?? {};
  return usage + bytes <= quota * shareMost;
}

// False: it lasts as long as the page.
export async function keepParcel(parcel: Parcel, files: Blob[]): Promise<boolean> {
  try {
    const db = await open();
    const kept = (await done(db.transaction("parcels").objectStore("parcels").getAll())) as Parcel[];
    if (!(await hasRoom(parcel.bytes, kept))) return false;
    const tx = db.transaction(["parcels", "files"], "readwrite");
    tx.objectStore("parcels").put(parcel);
    files.forEach((file, i) => tx.objectStore("files").put(file, fileKey(parcel.key, i)));
    await ended(tx);
    return true;
  } catch {
    return false;
  }
}

// How far it has come. One that was dropped meanwhile does not come back.
export async function noteFiles(key: string, files: ParcelFile[]): Promise<void> {
  try {
    const store = (await open()).transaction("parcels", "readwrite").objectStore("parcels");
    const parcel = (await done(store.get(key))) as Parcel | undefined;
    if (parcel) store.put({ ...parcel, files });
  } catch {
    // then it begins anew another time
  }
}

export async function dropParcel(parcel: Parcel): Promise<void> {
  try {
    const tx = (await open()).transaction(["parcels", "files"], "readwrite");
    tx.objectStore("parcels").delete(parcel.key);
    tx.objectStore("files").delete(filesOf(parcel));
    await ended(tx);
  } catch {
    // sent again from there it makes no second message
  }
}

// In the order in which they were written; what belongs to another account goes.
export async function keptParcels(account: string): Promise<Parcel[]> {
  try {
    const all = (await done((await open()).transaction("parcels").objectStore("parcels").getAll())) as Parcel[];
    for (const p of all) if (p.account !== account) await dropParcel(p);
    return all.filter((p) => p.account === account).sort((a, b) => a.atMs - b.atMs);
  } catch {
    return [];
  }
}

// Null: it is gone, or its files cannot be read any more.
export async function parcelFiles(parcel: Parcel): Promise<File[] | null> {
  try {
    const tx = (await open()).transaction(["parcels", "files"]);
    const [still, blobs] = await Promise.all([
      done(tx.objectStore("parcels").getKey(parcel.key)), done(tx.objectStore("files").getAll(filesOf(parcel))) as Promise<Blob[]>,
    ]);
    if (still === undefined || blobs.length !== parcel.files.length) return null;
    return parcel.files.map((f, i) => new File([blobs[i] ?? new Blob()], f.name, { type: blobs[i]?.type ?? "" }));
  } catch {
    return null;
  }
}

// ---- which tab carries it ----

const holds = new Map<string, () => void>();

// True: this tab does, until it lets go.
export function hold(key: string): Promise<boolean> {
  const locks = navigator.locks as LockManager | undefined;
  if (!locks) return Promise.resolve(true); // two may then: the same upload, the same message
  return new Promise((resolve) => {
    const take = (lock: Lock | null) => {
      resolve(lock !== null);
      return lock ? new Promise<void>((letGo) => holds.set(key, letGo)) : undefined;
    };
    locks.request(`parlance.parcel.${key}`, { ifAvailable: true }, take).catch(() => resolve(true));
  });
}

export function letGo(key: string): void {
  holds.get(key)?.();
  holds.delete(key);
}
