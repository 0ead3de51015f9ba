// The judge of histories. What clients wrote down themselves, in the order of one clock (the place in the list), is held to what
// docs/messaging.md promises; every breach is named by its rule. It knows nothing of the server: only what was asked, answered
// and told. history.test.mjs breaks each rule once and sees it found; seeded.test.mjs does so with a server that errs.
//
//   const history = new History();
//   const at = history.add('send', { device, user, conversation, key, text });   // before each try
//   history.add('acked', { device, user, conversation, key, seq, is_duplicate });
//   assert.deepEqual(judge(history.records), []);
//
// Records (device: its name; user, conversation: ids; `asked`: the place of the record that began the request):
//   send, acked            a try, and its answer; what has no answer may be written or not
//   postponed              {key}: the answer was to try again later: what was said after it may have come before it
//   changing, changed      {change: recall | edit | hide | join | leave, user, seq, text}; changed {asked} when it was answered
//   unchanged              {asked, code}: it was refused; what was "unavailable" may be done all the same
//   ready, cut             the device hears everything from here on; it does no more
//   told                   {change, is_event, asked}: a change as it came, by itself or by catching up
//   passed                 {rev}: up to here, the answer said, there is nothing else for the reader
//   current                {asked}: caught up: whatever was acknowledged before `asked` has to be here
//   settled                {asked}: the same for what a device that was not cut heard without asking
//   read                   {asked, messages, is_whole}: from the log; whole: all that the reader may see of it
//   own                    {asked, own}: the reader's own of a conversation
//   marked                 {seq}: acknowledged as read by the user

export class History {
  constructor() { this.records = []; }

  // The place of the record: what later ones mean by `asked`. `ms` is for whoever reads it, the judge goes by places.
  add(what, record) { return this.records.push({ what, ms: Date.now(), ...record }) - 1; }
}

const NEVER = Infinity;
const textOf = (message) => message.content?.text ?? '';
const nameOf = (user, key) => `${user} ${key}`;

// What is known of one conversation before anything is judged.
function gather(records) {
  const sends = new Map(); // by sender and key: first try, first answer, what was sent
  const changes = [];
  const begun = new Map();
  records.forEach((r, at) => {
    if (r.what === 'send' && !sends.has(nameOf(r.user, r.key)))
      sends.set(nameOf(r.user, r.key), { ...r, at, acked: NEVER, seq: 0, tries: 1, answers: [] });
    else if (r.what === 'send') sends.get(nameOf(r.user, r.key)).tries += 1;
    else if (r.what === 'acked') {
      const sent = sends.get(nameOf(r.user, r.key));
      sent.answers.push({ ...r, at });
      if (sent.acked === NEVER) Object.assign(sent, { acked: at, seq: r.seq });
    } else if (r.what === 'postponed') sends.get(nameOf(r.user, r.key)).isPostponed = true;
    else if (r.what === 'changing') {
      const change = { ...r, at, acked: NEVER };
      begun.set(at, change);
      changes.push(change);
    } else if (r.what === 'changed') begun.get(r.asked).acked = at;
  });
  const bySeq = new Map();
  for (const c of changes.filter((one) => one.seq)) {
    const place = `${c.change} ${c.seq}`;
    bySeq.set(place, [...(bySeq.get(place) ?? []), c]);
  }
  return { sends: [...sends.values()], sentBy: sends, bySeq, moves: changes.filter((c) => !c.seq) };
}

const ofKind = (known, kind, seq) => known.bySeq.get(`${kind} ${seq}`) ?? [];

// Who was in when: from joining to leaving. Both edges are uncertain: `may` reaches from asking to being answered, `must` the
// other way about.
function staysOf(known, user, before = NEVER) {
  const stays = [];
  for (const c of known.moves.filter((one) => one.user === user && one.at < before)) {
    if (c.change === 'join') stays.push({ may: [c.at, NEVER], must: [c.acked, NEVER] });
    else if (c.change === 'leave') {
      for (const stay of stays) {
        stay.may[1] = Math.min(stay.may[1], c.acked);
        stay.must[1] = Math.min(stay.must[1], c.at);
      }
    }
  }
  return stays;
}

const mayHaveSeen = (stays, sent) => stays.some(({ may }) => sent.at < may[1] && sent.acked > may[0]);

// Whoever comes again reads what is said from then on: only the last stay counts.
function mustSee(known, user, before) {
  const { must } = staysOf(known, user, before).at(-1) ?? { must: [NEVER, NEVER] };
  return (sent) => sent.at > must[0] && sent.acked < must[1];
}

// ---- the rules; each gets the records of one conversation and what is known of it ----

const rules = {
  'acknowledged once': (records, known, say) => {
    const bySeq = new Map();
    for (const sent of known.sends) {
      sent.answers.forEach((answer, i) => {
        if (answer.seq !== sent.seq) say(`${sent.key} was acknowledged as ${sent.seq} and as ${answer.seq}`);
        if (i > 0 && !answer.is_duplicate) say(`${sent.key} was taken for a new one again`);
        if (sent.tries === 1 && answer.is_duplicate) say(`${sent.key} was sent once and taken for known`);
      });
      if (!sent.answers.length) continue;
      if (bySeq.has(sent.seq)) say(`${sent.seq} was given to ${bySeq.get(sent.seq)} and to ${sent.key}`);
      bySeq.set(sent.seq, sent.key);
    }
  },

  'acknowledged is kept': (records, known, say) => {
    for (const read of records.filter((r) => r.what === 'read' && r.is_whole)) {
      const bySeq = new Map(read.messages.map((m) => [m.seq, m]));
      const isTheirs = mustSee(known, read.user, read.at);
      for (const sent of known.sends) {
        if (sent.acked > read.asked || !isTheirs(sent)) continue;
        const found = bySeq.get(sent.seq);
        const isHidden = ofKind(known, 'hide', sent.seq).some((c) => c.user === read.user && c.at < read.at);
        if (!found && !isHidden) say(`${sent.key}, acknowledged as ${sent.seq}, is lost to ${read.user}`);
        else if (found && found.client_msg_id !== sent.key) say(`${sent.key} was acknowledged as ${sent.seq}, where ${found.client_msg_id} stands`);
      }
    }
  },

  'no holes': (records, known, say) => {
    for (const read of records.filter((r) => r.what === 'read')) {
      let last = 0;
      for (const { seq } of read.messages) {
        if (seq <= last) say(`${seq} after ${last}`);
        for (let missed = last + 1; last && missed < seq; missed += 1)
          if (!ofKind(known, 'hide', missed).some((c) => c.user === read.user)) say(`${missed} is missing`);
        last = Math.max(last, seq);
      }
    }
  },

  'nothing twice, nothing invented': (records, known, say) => {
    for (const read of records.filter((r) => r.what === 'read')) {
      const names = new Set();
      for (const m of read.messages.filter((one) => one.sender_id)) {
        const name = nameOf(m.sender_id, m.client_msg_id);
        if (names.has(name)) say(`${name} stands twice`);
        names.add(name);
        const sent = known.sentBy.get(name);
        if (!sent || sent.at > read.at) say(`${name} at ${m.seq} was never sent`);
      }
    }
  },

  'content is what was said': (records, known, say) => {
    const check = (m, at, asked) => {
      const sent = known.sentBy.get(nameOf(m.sender_id, m.client_msg_id));
      if (!sent || m.recalled_at_ms) return;
      const versions = [{ text: sent.text, at: sent.at, acked: sent.acked }, ...ofKind(known, 'edit', m.seq)];
      const isAllowed = versions.some((v) => v.text === textOf(m) && v.at < at
        && !versions.some((later) => later.at > v.acked && later.acked < asked));
      if (!isAllowed) say(`${m.seq} reads ${JSON.stringify(textOf(m))}`);
    };
    for (const r of records) {
      if (r.what === 'read') r.messages.forEach((m) => check(m, r.at, r.asked));
      else if (r.what === 'told' && r.change.message) check(r.change.message, r.at, r.is_event ? 0 : r.asked);
    }
  },

  'one order for all': (records, known, say) => {
    const bySeq = new Map();
    const byRev = new Map();
    const same = (map, at, id) => {
      if (!map.has(at)) map.set(at, id);
      else if (map.get(at) !== id) say(`${at} is ${map.get(at)} here and ${id} there`);
    };
    for (const r of records) {
      if (r.what === 'read') r.messages.forEach((m) => same(bySeq, `seq ${m.seq}`, m.id));
      else if (r.what === 'told') {
        const { change } = r;
        if (change.message) same(bySeq, `seq ${change.message.seq}`, change.message.id);
        same(byRev, `rev ${change.rev}`, `${change.type} ${change.message?.id ?? change.member?.user_id ?? ''}`);
      }
    }
  },

  'after is after': (records, known, say) => {
    const answered = known.sends.filter((s) => s.acked !== NEVER).sort((a, b) => a.acked - b.acked);
    const sent = [...answered].sort((a, b) => a.at - b.at);
    let highest = { seq: 0 };
    let next = 0;
    for (const later of sent) {
      for (; next < answered.length && answered[next].acked < later.at; next += 1)
        if (answered[next].seq > highest.seq) highest = answered[next];
      if (highest.seq >= later.seq) say(`${later.key} (${later.seq}) was sent when ${highest.key} (${highest.seq}) had its answer`);
    }
  },

  'in the order said': (records, known, say) => {
    const last = new Map(); // by device
    for (const sent of known.sends.filter((one) => one.acked !== NEVER && !one.isPostponed)) {
      const before = last.get(sent.device);
      if (before?.seq >= sent.seq) say(`${sent.device} said ${before.key} (${before.seq}) before ${sent.key} (${sent.seq})`);
      last.set(sent.device, sent);
    }
  },

  'who comes back misses nothing': (records, known, say) => {
    const heard = new Map(); // by device: names of messages
    const held = new Map(); // by device: rev
    records.forEach((r) => {
      if (r.what === 'told') {
        const last = held.get(r.device) ?? 0;
        if (!heard.has(r.device)) heard.set(r.device, new Set());
        if (r.change.message) heard.get(r.device).add(nameOf(r.change.message.sender_id, r.change.message.client_msg_id));
        if (r.change.rev <= last || (r.is_event && r.change.prev_rev !== last)) return; // known; or a hole: the device has to ask
        if (r.change.prev_rev > last) say(`${r.device} held ${last} and got ${r.change.rev} after ${r.change.prev_rev}`);
        held.set(r.device, r.change.rev);
      } else if (r.what === 'passed') {
        held.set(r.device, Math.max(held.get(r.device) ?? 0, r.rev));
      } else if (r.what === 'current') {
        const isTheirs = mustSee(known, r.user, r.at);
        for (const sent of known.sends)
          if (sent.acked < r.asked && isTheirs(sent) && !heard.get(r.device)?.has(nameOf(sent.user, sent.key))
            && !ofKind(known, 'hide', sent.seq).some((c) => c.user === r.user)) say(`${r.device} has caught up without ${sent.key} (${sent.seq})`);
      }
    });
  },

  'who is here hears it': (records, known, say) => {
    const here = new Map(); // by device: since when, and what it was told
    records.forEach((r, at) => {
      if (r.what === 'ready') here.set(r.device, { since: at, heard: new Set() });
      else if (r.what === 'cut') here.delete(r.device);
      else if (r.what === 'told' && r.is_event && r.change.message)
        here.get(r.device)?.heard.add(nameOf(r.change.message.sender_id, r.change.message.client_msg_id));
      else if (r.what === 'settled' && here.has(r.device)) {
        const { since, heard } = here.get(r.device);
        const isTheirs = mustSee(known, r.user, r.at);
        for (const sent of known.sends)
          if (sent.at > since && sent.acked < r.asked && isTheirs(sent) && !heard.has(nameOf(sent.user, sent.key)))
            say(`${r.device} was here and was not told of ${sent.key} (${sent.seq})`);
      }
    });
  },

  'told in order': (records, known, say) => {
    const held = new Map();
    for (const r of records) {
      if (r.what === 'ready' || r.what === 'cut') held.delete(r.device);
      if (r.what !== 'told' || !r.is_event) continue;
      const last = held.get(r.device) ?? 0;
      if (r.change.rev <= last) say(`${r.device} was told of ${r.change.rev} after ${last}`);
      held.set(r.device, Math.max(last, r.change.rev));
    }
  },

  'only to members': (records, known, say) => {
    const check = (user, m) => {
      const sent = known.sentBy.get(nameOf(m.sender_id, m.client_msg_id));
      if (sent && !mayHaveSeen(staysOf(known, user), sent)) say(`${user} was given ${m.client_msg_id} (${m.seq})`);
    };
    for (const r of records) {
      if (r.what === 'read') r.messages.forEach((m) => check(r.user, m));
      else if (r.what === 'told' && r.change.type === 'message') check(r.user, r.change.message);
    }
  },

  'deleted stays deleted': (records, known, say) => {
    const recalled = new Map(); // by device: seqs it knows to be recalled
    const held = new Map(); // by device: rev; an event that is not above it comes late, and is dropped (docs/messaging.md)
    const heldBy = (r) => held.get(r.device) ?? 0;
    const hold = (r, rev) => held.set(r.device, Math.max(heldBy(r), rev));
    const isGone = (kind, m, asked, user) => ofKind(known, kind, m.seq).some((c) => c.acked < asked && (!user || c.user === user));
    const check = (r, m, asked) => {
      const knows = recalled.get(r.device)?.has(m.seq);
      if (!m.recalled_at_ms && (knows || isGone('recall', m, asked))) say(`${m.seq} is not recalled any more for ${r.device}`);
      if (m.recalled_at_ms && textOf(m)) say(`${m.seq} is recalled and reads ${JSON.stringify(textOf(m))}`);
      if (isGone('hide', m, asked, r.user)) say(`${m.seq}, deleted by ${r.user}, is back`);
      if (!m.recalled_at_ms) return;
      if (!ofKind(known, 'recall', m.seq).length) say(`${m.seq} was recalled by nobody`);
      if (!recalled.has(r.device)) recalled.set(r.device, new Set());
      recalled.get(r.device).add(m.seq);
    };
    for (const r of records) {
      if (r.what === 'read') r.messages.forEach((m) => check(r, m, r.asked));
      else if (r.what === 'passed') hold(r, r.rev);
      if (r.what !== 'told') continue;
      const isDropped = r.is_event && r.change.rev <= heldBy(r);
      if (r.change.message && !isDropped) check(r, r.change.message, r.is_event ? 0 : r.asked);
      if (!r.is_event || r.change.prev_rev === heldBy(r)) hold(r, r.change.rev);
    }
  },

  'marks only move on': (records, known, say) => {
    const marks = new Map(); // by user
    for (const r of records) {
      const seen = marks.get(r.user) ?? [];
      if (r.what === 'marked') marks.set(r.user, [...seen, r]);
      else if (r.what === 'own')
        for (const mark of seen) if (mark.at < r.asked && r.own.read_seq < mark.seq) say(`${r.user} had read to ${mark.seq} and stands at ${r.own.read_seq}`);
    }
  },
};

export const ruleNames = Object.keys(rules);

// What is wrong: "rule: what", nothing twice.
export function judge(records) {
  const conversations = new Map();
  const everywhere = new Set(['ready', 'cut']); // of a device, not of a conversation
  records.forEach((r) => {
    if (!everywhere.has(r.what) && !conversations.has(r.conversation)) conversations.set(r.conversation, []);
  });
  // Places count within a conversation from here on; `asked` moves with them.
  for (const [id, list] of conversations) {
    const places = [];
    records.forEach((r, at) => {
      if (!everywhere.has(r.what) && r.conversation !== id) return;
      places[at] = list.length;
      list.push({ ...r, at: list.length, ...(r.asked === undefined ? {} : { asked: places[r.asked] }) });
    });
  }
  const problems = new Set();
  for (const list of conversations.values()) {
    const known = gather(list);
    for (const [name, rule] of Object.entries(rules)) rule(list, known, (what) => problems.add(`${name}: ${what}`));
  }
  return [...problems];
}

export const rulesBroken = (problems) => [...new Set(problems.map((p) => p.split(': ')[0]))];
