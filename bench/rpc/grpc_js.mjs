// The same call over @grpc/grpc-js, contracts by protobufjs: `server PORT`, or `client PORT IN_FLIGHT SECONDS`.
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const require = createRequire(path.join(root, 'tests/'));
const grpc = require('@grpc/grpc-js');
const protobuf = require('protobufjs');

const ID = '01JD3V8Q4N6M7R2T5W9X0YZABC';
const SECRET = 'Bearer the secret of a cluster under load, long enough';
const PATH = '/parlance.user.v1.User/GetUser';
const profile = {
  id: ID, username: 'ada.lovelace', nickname: 'Ada Lovelace', email: 'ada.lovelace@example.org',
  avatarUrl: `/api/v1/users/${ID}/avatar?v=3`, description: 'Writes programs for engines that are not built yet.',
  locale: 'en-GB', timeZone: 'Europe/London', role: 2, createdAtMs: 1767225600000, updatedAtMs: 1767312000000,
};

const types = new protobuf.Root();
types.resolvePath = (_, target) => (/^(protobuf-c|google)\//.test(target) ? path.join('/usr/include', target) : target);
types.loadSync(path.join(root, 'proto/user.proto'));
const Request = types.lookupType('parlance.user.v1.GetUserRequest');
const Profile = types.lookupType('parlance.user.v1.Profile');
const definition = {
  path: PATH, requestStream: false, responseStream: false,
  requestSerialize: (value) => Request.encode(value).finish(), requestDeserialize: (bytes) => Request.decode(bytes),
  responseSerialize: (value) => Profile.encode(value).finish(), responseDeserialize: (bytes) => Profile.decode(bytes),
};

function serve(port) {
  const server = new grpc.Server();
  server.addService({ getUser: definition }, {
    getUser(call, done) {
      const isOk = call.metadata.get('authorization')[0] === SECRET && call.request.id === ID;
      done(isOk ? null : { code: grpc.status.NOT_FOUND }, profile);
    },
  });
  server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

async function measure(port, inFlight, seconds) {
  const Client = grpc.makeGenericClientConstructor({ getUser: definition }, 'User');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set('authorization', SECRET);
  let calls;
  let wrong;
  const once = () => new Promise((resolve) => {
    client.getUser({ id: ID }, metadata, { deadline: Date.now() + 10000 }, (error, reply) => {
      if (!error && reply.id === ID && reply.description === profile.description) calls++;
      else wrong++;
      resolve();
    });
  });
  const run = async (runMs) => {
    const until = Date.now() + runMs;
    calls = wrong = 0;
    await Promise.all(Array.from({ length: inFlight }, async () => {
      do await once(); while (Date.now() < until);
    }));
  };
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  await run(1000); // compiled by then
  console.log(JSON.stringify({ event: 'ready' }));
  await lines.next();
  const start = performance.now();
  await run(seconds * 1000);
  console.log(JSON.stringify({ event: 'done', calls, wrong, seconds: (performance.now() - start) / 1000 }));
  await lines.next();
  process.exit();
}

const [role, port, inFlight, seconds] = process.argv.slice(2);
if (role === 'server') serve(Number(port));
else await measure(Number(port), Number(inFlight), Number(seconds));
