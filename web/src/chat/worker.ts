// The entrance of the shared worker: a bundle of its own, one instance for all tabs of an account.
import { Hub, type Port, type ToHub } from "./hub";

const hub = new Hub();

(globalThis as unknown as { onconnect: (e: MessageEvent) => void }).onconnect = (e) => {
  const port = e.ports[0];
  if (!port) return;
  port.onmessage = (m: MessageEvent<ToHub>) => hub.onMessage(port as Port, m.data);
};
