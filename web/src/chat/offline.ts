// Asks the browser to keep the pages themselves (sw.ts), once one uses messages here and the page has come to rest.
const afterMs = 4_000;
let isAsked = false;

export function keepPages(): void {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (isAsked || !workers) return;
  isAsked = true;
  // A private window or a certificate of one's own making may refuse it; then there is no reading without connection.
  setTimeout(() => workers.register("/sw.js").catch(() => undefined), afterMs);
}
