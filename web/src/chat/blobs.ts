// Bytes behind messages, as addresses that pages can draw: fetched with the token, kept for a while, the oldest let go.
import { useEffect, useState } from "preact/hooks";
import { onAccountChange } from "../app/account-change";
import { callBlob } from "../app/api";
import { saveFile } from "../app/meetings";

const keptMost = 200;
const bytesMost = 64 * 1024 * 1024;

interface Held {
  url: string;
  bytes: number;
}
const held = new Map<string, Held>();
let heldBytes = 0;
const pending = new Map<string, Promise<string>>();

onAccountChange(() => {
  for (const path of [...held.keys()]) letGo(path);
});

export const filePath = (conversationId: string, fileId: string): string => `/conversations/${encodeURIComponent(conversationId)}/files/${encodeURIComponent(fileId)}`;
export const thumbnailPath = (conversationId: string, fileId: string): string => `${filePath(conversationId, fileId)}/thumbnail`;

function letGo(path: string): void {
  const old = held.get(path);
  if (!old) return;
  held.delete(path);
  heldBytes -= old.bytes;
  URL.revokeObjectURL(old.url);
}

function put(path: string, blob: Blob): string {
  letGo(path);
  const url = URL.createObjectURL(blob);
  held.set(path, { url, bytes: blob.size });
  heldBytes += blob.size;
  // The one just put stays, however large it is: somebody waits for it.
  for (const old of [...held.keys()]) {
    if (old === path || (held.size <= keptMost && heldBytes <= bytesMost)) break;
    letGo(old);
  }
  return url;
}

export function blobUrl(path: string): Promise<string> {
  const known = held.get(path);
  if (known) {
    held.delete(path); // used last: let go last
    held.set(path, known);
    return Promise.resolve(known.url);
  }
  let asked = pending.get(path);
  if (!asked) {
    asked = callBlob(path).then((blob) => put(path, blob)).finally(() => pending.delete(path));
    pending.set(path, asked);
  }
  return asked;
}

// What was sent from here need not be fetched to be shown.
export function keepBlob(conversationId: string, fileId: string, file: Blob): void {
  put(thumbnailPath(conversationId, fileId), file);
  put(filePath(conversationId, fileId), file);
}

// The address of it; "": on its way; null: it cannot be had. `path` "": nothing is wanted.
export function useBlob(path: string): string | null {
  const [got, setGot] = useState<{ path: string; url: string | null } | null>(null);
  useEffect(() => {
    if (!path || got?.path === path) return;
    let isStale = false;
    blobUrl(path).then(
      (url) => isStale || setGot({ path, url }),
      () => isStale || setGot({ path, url: null }),
    );
    return () => void (isStale = true);
  }, [path]);
  const known = path && got?.path === path ? got.url : undefined;
  return known === undefined ? (held.get(path)?.url ?? "") : known;
}

export async function download(path: string, name: string): Promise<void> {
  saveFile(await callBlob(path), name);
}
