// A client of tus 1.0, small and literal: each call is one request, so tests say what goes over the wire.
//
//   const id = await upload(alice, bytes, { name: 'a.png', type: 'image/png' });   // begun and ended
//   const at = await begin(alice, 1000);                                          // { id, location, reply }
//   const reply = await put(alice, at.id, 0, bytes);
import assert from 'node:assert/strict';
import http from 'node:http';
import { ok } from './check.mjs';

export const version = { 'tus-resumable': '1.0.0' };
export const bodyType = { 'content-type': 'application/offset+octet-stream' };
const base64 = (text) => Buffer.from(text).toString('base64');
const path = (id) => `/api/v1/files/uploads/${id}`;

export function metadata({ name, type }) {
  return [name !== undefined && `filename ${base64(name)}`, type !== undefined && `filetype ${base64(type)}`].filter(Boolean).join(',');
}

export async function begin(client, length, { name, type, headers, raw } = {}) {
  const meta = metadata({ name, type });
  const reply = await client.ask('POST', '/api/v1/files/uploads', { raw,
    headers: { ...version, 'upload-length': String(length), ...(meta && { 'upload-metadata': meta }), ...(raw && bodyType), ...headers } });
  const location = reply.headers.get('location');
  return { reply, location, id: location?.split('/').pop() };
}

export const put = (client, id, offset, bytes, headers = {}) =>
  client.ask('PATCH', path(id), { raw: bytes, headers: { ...version, ...bodyType, 'upload-offset': String(offset), ...headers } });

export const head = (client, id, headers = {}) => client.ask('HEAD', path(id), { headers: { ...version, ...headers } });
export const drop = (client, id) => client.ask('DELETE', path(id), { headers: version });

export async function offsetOf(client, id) {
  const reply = await head(client, id);
  assert.equal(reply.status, 204, `HEAD: ${reply.status}`);
  return Number(reply.headers.get('upload-offset'));
}

export async function upload(client, bytes, what) {
  const { reply, id } = await begin(client, bytes.length, what);
  ok(reply, 201);
  ok(await put(client, id, 0, bytes), 204);
  return id;
}

export async function info(client, id) {
  return ok(await client.get(`/api/v1/files/${id}/info`));
}

// Bytes as they are, not as text.
export async function fetchBytes(client, target, headers = {}) {
  const response = await fetch(client.base + target, { headers: { authorization: `Bearer ${client.token}`, ...headers } });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

// A PATCH whose body stops after `sent` bytes: the request stays open until it is destroyed.
export function putPart(client, id, offset, { length, sent, headers = {} }) {
  const url = new URL(client.base + path(id));
  const request = http.request(url, { method: 'PATCH', headers: { ...version, ...bodyType, authorization: `Bearer ${client.token}`,
    'upload-offset': String(offset), 'content-length': String(length), ...headers } });
  request.on('error', () => {});
  const answered = new Promise((resolve) => { request.once('response', resolve); });
  request.write(sent);
  return { request, answered };
}
