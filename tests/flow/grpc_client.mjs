// A standard gRPC client of a running parlance: contracts come by reflection, nothing is read from proto/.
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const SECRET = 'the secret of a cluster under test, long enough';

// The contracts of a file in proto/, for what stands before reflection.
export function contracts(...names) {
  const it = new protobuf.Root();
  it.resolvePath = (_, target) => (target.startsWith('protobuf-c/') ? path.join('/usr/include', target)
    : target.startsWith('google/') ? path.join('/usr/include', target) : path.join(root, 'proto', target));
  return it.loadSync(names, { keepCase: true });
}

export function metadata(secret = SECRET) {
  const all = new grpc.Metadata();
  if (secret) all.set('authorization', `Bearer ${secret}`);
  return all;
}

// The port of a service, from the server's log.
export function portOf(server, service) {
  const line = server.log.find((one) => one.msg.startsWith(`gRPC: ${service} on port`));
  return Number(line.msg.match(/(\d+)$/)[1]);
}

export class GrpcClient {
  constructor(port, credentials = grpc.credentials.createInsecure(), options = {}) {
    this.client = new grpc.Client(`localhost:${port}`, credentials, options);
  }

  close() { this.client.close(); }

  // { code, details, reply, trailer }
  unary(target, Request, Reply, body = {}, { secret = SECRET, deadlineMs = 5000, headers = {} } = {}) {
    const all = metadata(secret);
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    return new Promise((resolve) => {
      let reply;
      let problem;
      const call = this.client.makeUnaryRequest(target, (message) => Buffer.from(Request.encode(message).finish()),
        (bytes) => Reply.decode(bytes), Request.create(body), all, { deadline: Date.now() + deadlineMs },
        (error, message) => { problem = error; reply = message; });
      call.on('status', (status) => {
        resolve({ code: status.code, details: status.details, trailer: status.metadata, reply, problem });
      });
    });
  }

  // Asks reflection; each question is answered by one answer.
  reflect(version, questions) {
    const types = contracts('reflection.proto');
    const Request = types.lookupType('grpc.reflection.v1.ServerReflectionRequest');
    const Reply = types.lookupType('grpc.reflection.v1.ServerReflectionResponse');
    return new Promise((resolve, reject) => {
      const answers = [];
      const call = this.client.makeBidiStreamRequest(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
        (message) => Buffer.from(Request.encode(message).finish()), (bytes) => Reply.decode(bytes), new grpc.Metadata(),
        { deadline: Date.now() + 5000 });
      call.on('data', (one) => answers.push(one));
      call.on('error', reject);
      call.on('end', () => resolve(answers));
      for (const question of questions) call.write(Request.create(question));
      call.end();
    });
  }

  // The names of the services that are offered, and a Root that holds all their types.
  async discover() {
    const [list] = await this.reflect('v1', [{ list_services: '' }]);
    const names = list.list_services_response.service.map((one) => one.name);
    const answers = await this.reflect('v1', names.map((name) => ({ file_containing_symbol: name })));
    const files = new Map();
    for (const answer of answers)
      for (const bytes of answer.file_descriptor_response.file_descriptor_proto) {
        const file = descriptor.FileDescriptorProto.decode(bytes);
        files.set(file.name, file);
      }
    return { names, types: protobuf.Root.fromDescriptor({ file: [...files.values()] }).resolveAll() };
  }
}
