// The service worker: lets the pages open without connection, to read what is kept. It holds the files of one build; pages
// come from the server when it answers, files with a hash in their name from here. Nothing of the API passes through it.
declare const __BUILD__: string;
declare const __SHELL__: string[];

const scope = globalThis as unknown as {
  location: Location;
  addEventListener(type: "install" | "activate", run: (e: { waitUntil(p: Promise<unknown>): void }) => void): void;
  addEventListener(type: "fetch", run: (e: { request: Request; respondWith(r: Promise<Response>): void }) => void): void;
};

const prefix = "parlance-";
const cacheName = prefix + __BUILD__;
const patienceMs = 4_000;
const pages = /^\/(c(\/.*)?|m\/.*|search|join|settings|admin|login|register)?\/?$/;

scope.addEventListener("install", (e) => e.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(["/", ...__SHELL__]))));

// Only when no page of the build before is open any more: those still want its files.
async function dropOlder(): Promise<void> {
  for (const name of await caches.keys()) if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name);
}
scope.addEventListener("activate", (e) => e.waitUntil(dropOlder()));

async function page(request: Request): Promise<Response> {
  const kept = () => caches.match("/", { cacheName });
  const fresh = fetch(request);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Response | undefined>((resolve) => (timer = setTimeout(() => resolve(kept()), patienceMs)));
  try {
    const found = (await Promise.race([fresh, late])) ?? (await fresh);
    return found.status >= 500 ? ((await kept()) ?? found) : found; // a proxy says that nobody is behind it
  } catch (error) {
    const found = await kept();
    if (found) return found;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

scope.addEventListener("fetch", (e) => {
  const { request } = e;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== scope.location.origin) return;
  if (request.mode === "navigate" && pages.test(url.pathname)) e.respondWith(page(request));
  else if (url.pathname.startsWith("/assets/")) e.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
});
