// `parlance verify` names what the database's own protection keeps unit tests from damaging, and files.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, makeDataDir, notSqlite, run, startServer } from './server.mjs';
import { Talker } from './talker.mjs';
import { upload } from './tus.mjs';

const dataDir = makeDataDir();
const file = path.join(dataDir, 'store', 'parlance.db');
after(() => rmSync(dataDir, { recursive: true, force: true }));

function sql(text) {
  const done = spawnSync('python3', ['-c', `import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.executescript(sys.argv[2])
c.close()`, file, text], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
}

before(async () => {
  const server = await startServer({ dataDir });
  const [ann, bob] = [await server.register('ann'), await server.register('bob')];
  const wire = await Talker.open(server, ann);
  const to = { to_user_id: bob.user.id };
  await wire.ok('send_message', { ...to, client_msg_id: '1', content: { text: 'some words' } });
  await wire.ok('send_message', { ...to, client_msg_id: '2',
    content: { kind: 'file', attachments: [{ file_id: await upload(ann, Buffer.from('bytes')) }] } });
  await eventually(async () => (await wire.ok('search', { query: 'words' })).messages.length === 1);
  await eventually(async () => !(await wire.ok('search', { query: 'words' })).is_indexing);
  await wire.close();
  await server.stop({ keepData: true });
});

test('whole, then damaged in two ways', { skip: notSqlite }, () => {
  assert.match(run(['verify'], { dataDir }).stdout, /2 messages, .*all is well/);
  sql('DELETE FROM message_terms_data WHERE id > 10');
  assert.match(run(['verify'], { dataDir }).stderr, /the search index is not what its words make\n.*1 problems/s);
  sql('DELETE FROM message_files');
  assert.match(run(['verify'], { dataDir }).stderr, /a file it names is not referred to/);
});
