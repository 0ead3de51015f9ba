// What carries uploads: XMLHttpRequest, because fetch does not tell how much of a body is on its way.
import { renew, token } from "../app/api";
import type { Wire, WireReply, WireRequest } from "./tus";

function once({ method, url, headers, body, onSent, signal }: WireRequest, bearer: string): Promise<WireReply> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.setRequestHeader("Authorization", `Bearer ${bearer}`);
    if (onSent) request.upload.onprogress = (e) => onSent(e.loaded);
    request.onload = () => resolve({ status: request.status, header: (name) => request.getResponseHeader(name) });
    request.onerror = request.onabort = request.ontimeout = () => reject(new Error("the connection broke off"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) reject(new Error("aborted"));
    else request.send(body ?? null);
  });
}

export const wire: Wire = async (request) => {
  const reply = await once(request, await token());
  return reply.status === 401 && (await renew()) ? once(request, await token()) : reply;
};
