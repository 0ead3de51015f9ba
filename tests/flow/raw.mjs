// HTTP as bytes: what no client library would send.
import net from 'node:net';

export const lines = (...list) => `${list.join('\r\n')}\r\n\r\n`;

// Everything that comes until the server closes (or `ms` are over): [{ status, headers, text, body }], with `isClosed`.
export async function send(server, bytes, { ms = 3000, end = false, expect = Infinity } = {}) {
  const socket = net.connect(server.port, '127.0.0.1');
  const answers = await converse(socket, bytes, { ms, end, expect });
  socket.destroy();
  return answers;
}

export function converse(socket, bytes, { ms = 3000, end = false, expect = Infinity } = {}) {
  return new Promise((resolve) => {
    let got = Buffer.alloc(0);
    const finish = (isClosed) => {
      clearTimeout(timer);
      resolve(Object.assign(parse(got), { isClosed }));
    };
    const timer = setTimeout(() => finish(false), ms);
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
      if (parse(got).length >= expect) finish(false);
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
    if (bytes.length) socket.write(bytes);
    if (end) socket.end();
  });
}

// The whole answers in a stretch of bytes.
function parse(bytes) {
  const answers = [];
  let at = 0;
  for (;;) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return answers;
    const [first, ...fields] = bytes.subarray(at, headEnd).toString('latin1').split('\r\n');
    const status = Number(first.split(' ')[1]);
    const headers = new Headers(fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    const bodyEnd = headEnd + 4 + Number(headers.get('content-length') ?? 0);
    if (bytes.length < bodyEnd) return answers;
    const text = bytes.subarray(headEnd + 4, bodyEnd).toString();
    let body;
    try { body = JSON.parse(text); } catch { body = undefined; }
    if (status >= 200) answers.push({ status, headers, text, body });
    at = bodyEnd;
  }
}
