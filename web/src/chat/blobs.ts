// Bytes behind messages, as addresses that pages can draw: fetched with the token, kept for a while, the oldest let go.
import { useEffect, useState } from "preact/hooks";
import { onAccountChange } from "../app/account-change";
import { callBlob } from "../app/api";
import { saveFile } from "../app/meetings";

const keptMost = 80;
const urls = new Map<string, string>();
const pending = new Map<string, Promise<string>>();

onAccountChange(() => {
  for (const url of urls.values()) URL.revokeObjectURL(url);
  urls.clear();
});

export const filePath = (conversationId: string, fileId: string): string => `/conversations/${encodeURIComponent(conversationId)}/files/${encodeURIComponent(fileId)}`;
export const thumbnailPath = (conversationId: string, fileId: string): string => `${filePath(conversationId, fileId)}/thumbnail`;

function put(path: string, blob: Blob): string {
  const url = URL.createObjectURL(blob);
  urls.set(path, url);
  for (const [old, oldUrl] of urls) {
    if (urls.size <= keptMost) break;
    urls.delete(old);
    URL.revokeObjectURL(oldUrl);
  }
  return url;
}

export function blobUrl(path: string): Promise<string> {
  const known = urls.get(path);
  if (known) {
    urls.delete(path); // used last: let go last
    urls.set(path, known);
    return Promise.resolve(known);
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
  return known === undefined ? (urls.get(path) ?? "") : known;
}

export async function download(path: string, name: string): Promise<void> {
  saveFile(await callBlob(path), name);
}
