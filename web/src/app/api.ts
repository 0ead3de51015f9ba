// REST calls. The access token lives in memory only; the refresh token in an HttpOnly cookie that scripts never see.
// Tabs take turns at renewing (Web Locks): two at once would look to the server like a stolen token.
import { signal } from "@preact/signals";
import { ApiError } from "./api-error";
import { forgetAll, onForgotten, remember, remembered, type SignedIn } from "./remembered";
import type { LoginReply, Profile } from "./types";

export { ApiError, type SignedIn };

// undefined: not known yet; null: nobody.
export const signedIn = signal<SignedIn | null | undefined>(undefined);

let accessToken = "";
let csrfToken = "";
let renewAtMs = 0;
let renewal: Promise<boolean> | null = null;

function cookie(name: string): string {
  const found = document.cookie.split("; ").find((c) => c.startsWith(name + "="));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

export function adopt(reply: LoginReply): void {
  accessToken = reply.access_token;
  csrfToken = reply.csrf_token;
  const lifetimeMs = reply.expires_in_s * 1000;
  renewAtMs = Date.now() + lifetimeMs - Math.min(60_000, lifetimeMs / 4);
  remember({ user: reply.user, sessionId: reply.session_id });
  signedIn.value = { user: reply.user, sessionId: reply.session_id };
}

function leave(): void {
  accessToken = "";
  csrfToken = "";
  signedIn.value = null;
}

// `isWanted`: the person signed out. Without a connection the server could not take its cookies back: without this one no page
// begins where they left off (restore).
function forget(isWanted = false): void {
  if (isWanted) document.cookie = "parlance_csrf=; Path=/; Max-Age=0; SameSite=Strict";
  leave();
  forgetAll(isWanted);
}

async function failure(response: Response): Promise<ApiError> {
  let error: { code?: string; message?: string; request_id?: string } = {};
  try {
    error = ((await response.json()) as { error?: typeof error }).error ?? {};
  } catch {
    // a proxy's page: the status alone has to do
  }
  const code = error.code ?? (response.status >= 500 ? "unavailable" : "unknown");
  const requestId = error.request_id ?? response.headers.get("x-request-id") ?? "";
  return new ApiError(code, error.message ?? response.statusText, requestId, response.status);
}

async function fetchChecked(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch {
    throw new ApiError("offline", "No connection to the server.", "", 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function csrf(): Promise<string> {
  const known = cookie("parlance_csrf") || csrfToken;
  if (known) return known;
  const response = await fetchChecked("/api/v1/auth/csrf", {});
  return ((await response.json()) as { csrf_token: string }).csrf_token;
}

async function renewNow(): Promise<boolean> {
  try {
    const response = await fetchChecked("/api/v1/auth/refresh", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": await csrf() },
      body: "{}",
      keepalive: true, // a page that is left meanwhile must still get the new cookie
    });
    adopt((await response.json()) as LoginReply);
    return true;
  } catch (error) {
    // Too many at once, a proxy's page: that is no answer about the sign-in.
    const isRefused = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
    if (!isRefused) throw error;
    forget();
    return false;
  }
}

// Renews the sign-in from the cookie. False: nobody is signed in. Throws when the server cannot be reached.
export async function renew(): Promise<boolean> {
  if (!renewal) {
    // Absent on pages without TLS.
    const locks = navigator.locks as LockManager | undefined;
    const run = async () => (locks ? await locks.request("parlance.renew", () => renewNow()) : await renewNow());
    renewal = run().finally(() => (renewal = null));
  }
  return renewal;
}

// At start: whoever has no CSRF cookie has no sign-in, so the server need not be asked.
// Whoever was signed in last is taken to be so until the server says no: their messages are there without it.
export async function restore(): Promise<void> {
  onForgotten(() => signedIn.peek() && leave()); // what was kept may be the next account's by now
  const last = remembered();
  if (!cookie("parlance_csrf")) {
    if (last) forgetAll(false);
    signedIn.value = null;
    return;
  }
  if (last) signedIn.value = last;
  try {
    await renew();
  } catch {
    if (!last) signedIn.value = null;
  }
}

export async function token(): Promise<string> {
  const isMissing = !accessToken && signedIn.peek();
  if (isMissing || (accessToken && Date.now() > renewAtMs)) await renew();
  return accessToken;
}

export interface CallOptions {
  method?: string;
  json?: unknown;
  body?: Blob;
  // A guest's token, in place of the account's.
  token?: string;
  signal?: AbortSignal;
}

async function send(path: string, options: CallOptions): Promise<Response> {
  const headers: Record<string, string> = {};
  const bearer = options.token ?? (await token());
  if (bearer) headers["Authorization"] = `Bearer ${bearer}`;
  let body: BodyInit | null = null;
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.json);
  } else if (options.body) {
    headers["Content-Type"] = options.body.type;
    body = options.body;
  }
  return fetchChecked(path, { method: options.method ?? "GET", headers, body, signal: options.signal ?? null });
}

async function sendRenewed(path: string, options: CallOptions): Promise<Response> {
  try {
    return await send(path, options);
  } catch (error) {
    const isExpired = error instanceof ApiError && error.code === "unauthenticated" && !options.token && accessToken;
    if (isExpired && (await renew())) return send(path, options);
    throw error;
  }
}

export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const response = await sendRenewed("/api/v1" + path, options);
  const text = await response.text();
  return (text ? JSON.parse(text) : {}) as T;
}

export async function callBlob(path: string, options: CallOptions = {}): Promise<Blob> {
  return (await sendRenewed("/api/v1" + path, options)).blob();
}

export async function signIn(login: string, password: string): Promise<void> {
  const response = await send("/api/v1/auth/login", { method: "POST", json: { login, password }, token: "" });
  adopt((await response.json()) as LoginReply);
}

export async function register(fields: Record<string, string>): Promise<void> {
  const response = await send("/api/v1/auth/register", { method: "POST", json: fields, token: "" });
  adopt((await response.json()) as LoginReply);
}

export async function signOut(): Promise<void> {
  try {
    await fetchChecked("/api/v1/auth/logout", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRF-Token": await csrf(),
        ...(accessToken ? { Authorization: `Bearer ${accessToken}` } : {}),
      },
      body: "{}",
    });
  } finally {
    forget(true);
  }
}

// The own profile changed: what shows it follows.
export function setProfile(user: Profile): void {
  if (!signedIn.value) return;
  signedIn.value = { ...signedIn.value, user };
  remember(signedIn.value);
}
