// One file on its way up, by tus 1.0: made, sent in pieces, and after every break gone on with from where the server stands
// (docs/messaging.md, "Files"). What carries the requests is handed in, so that tests can cut it.

export interface WireReply {
  status: number;
  header: (name: string) => string | null;
}
export interface WireRequest {
  method: "POST" | "PATCH" | "HEAD" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: Blob;
  onSent?: (bytes: number) => void;
  signal: AbortSignal;
}
// Throws when nothing came back.
export type Wire = (request: WireRequest) => Promise<WireReply>;

export type TusState = "waiting" | "uploading" | "retrying" | "paused" | "done" | "failed" | "cancelled";

export interface TusOptions {
  wire: Wire;
  file: Blob;
  name: string;
  // What it is said to be; "": nothing, it is kept and never shown.
  claim: string;
  // Of an upload that was begun before.
  url?: string;
  onChange: () => void;
  // Resolves after so long, or earlier when there is reason for hope.
  wait?: (ms: number) => Promise<void>;
}

export class TusError extends Error {
  constructor(readonly status: number) {
    super(`upload refused with ${status}`);
  }
}

const endpoint = "/api/v1/files/uploads";
// Long enough for speed, short enough that a token is fresh for each.
const pieceBytes = 8 * 1024 * 1024;
const retriesMost = 12;
const retryFirstMs = 500;
const retryMostMs = 15_000;

// 0: nothing came back.
const isFine = (status: number): boolean => status >= 200 && status < 300;
const inBase64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
// Worth another try: nothing came, the server is busy, somebody else writes, the offset was not right, a piece arrived broken.
const isPassing = (status: number): boolean => status === 0 || status >= 500 || [401, 408, 409, 423, 429, 460].includes(status);

export class Tus {
  state: TusState = "waiting";
  // How much is there, as far as known: acknowledged, and what is on its way of the piece being sent.
  sentBytes = 0;
  error: TusError | null = null;
  url: string;
  private offset = 0;
  private abort = new AbortController();
  private run: Promise<void> | null = null;

  constructor(private readonly options: TusOptions) {
    this.url = options.url ?? "";
  }

  // The upload's id is the file's.
  get fileId(): string {
    return this.url.slice(this.url.lastIndexOf("/") + 1);
  }

  start(): Promise<void> {
    return (this.run ??= this.go().finally(() => (this.run = null)));
  }

  pause(): void {
    if (this.state === "done" || this.state === "failed" || this.state === "cancelled") return;
    this.set("paused");
    this.abort.abort();
  }

  async cancel(): Promise<void> {
    if (this.state === "cancelled") return;
    this.set("cancelled");
    this.abort.abort();
    if (this.url) await this.options.wire({ method: "DELETE", url: this.url, headers: { "Tus-Resumable": "1.0.0" }, signal: new AbortController().signal }).catch(() => undefined); // it goes by itself after a day
  }

  private set(state: TusState): void {
    this.state = state;
    this.options.onChange();
  }

  private async go(): Promise<void> {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.error = null;
    this.set("uploading");
    let needsLook = this.url !== "";
    for (let tries = 0; ; ) {
      const before = this.offset;
      const status = await this.step(needsLook, signal);
      if (signal.aborted) return;
      if (this.offset > before) tries = 0;
      if (isFine(status) && this.url && this.offset >= this.options.file.size) return this.set("done");
      needsLook = false;
      if (isFine(status)) continue;
      tries++;
      if (!isPassing(status) || (status && tries > retriesMost)) return this.fail(status); // without connection one waits
      needsLook = this.url !== "";
      this.set("retrying");
      await (this.options.wait ?? pause)(Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(tries - 1, 10)));
      if (signal.aborted) return;
      this.set("uploading");
    }
  }

  private fail(status: number): void {
    this.error = new TusError(status);
    this.set("failed");
  }

  private async step(needsLook: boolean, signal: AbortSignal): Promise<number> {
    try {
      return !this.url ? await this.create(signal) : needsLook ? await this.look(signal) : await this.send(signal);
    } catch {
      this.sentBytes = this.offset; // what was on its way may not have come
      return 0;
    }
  }

  private async create(signal: AbortSignal): Promise<number> {
    const { wire, file, name, claim } = this.options;
    const metadata = [`filename ${inBase64(name)}`, ...(claim ? [`filetype ${inBase64(claim)}`] : [])].join(",");
    const reply = await wire({
      method: "POST", url: endpoint, signal, headers: { "Tus-Resumable": "1.0.0", "Upload-Length": String(file.size), "Upload-Metadata": metadata },
    });
    const location = reply.header("Location");
    if (reply.status === 201 && !location) return 500;
    if (reply.status === 201 && location) this.url = location.replace(/^https?:\/\/[^/]+/, "");
    if (this.url) this.options.onChange();
    return reply.status;
  }

  private async look(signal: AbortSignal): Promise<number> {
    const reply = await this.options.wire({ method: "HEAD", url: this.url, signal, headers: { "Tus-Resumable": "1.0.0" } });
    // Expired, or cleared away: begin anew.
    if (reply.status === 404 || reply.status === 410) {
      this.url = "";
      this.take(0);
      return 200;
    }
    if (isFine(reply.status)) this.take(Number(reply.header("Upload-Offset") ?? 0));
    return reply.status;
  }

  private async send(signal: AbortSignal): Promise<number> {
    const from = this.offset;
    const body = this.options.file.slice(from, from + pieceBytes);
    const onSent = (bytes: number) => {
      this.sentBytes = Math.min(this.options.file.size, from + bytes);
      this.options.onChange();
    };
    const headers = { "Tus-Resumable": "1.0.0", "Upload-Offset": String(from), "Content-Type": "application/offset+octet-stream" };
    const reply = await this.options.wire({ method: "PATCH", url: this.url, signal, headers, body, onSent });
    if (isFine(reply.status)) this.take(Number(reply.header("Upload-Offset") ?? from + body.size));
    return reply.status;
  }

  private take(offset: number): void {
    this.offset = offset;
    this.sentBytes = offset;
    this.options.onChange();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
  });
}
